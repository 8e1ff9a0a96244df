//! Which operation a request is, by method and path.

use std::sync::Arc;

use http::Method;
use http::request::Parts;

use super::{lists, writing};
use crate::ebs::refusals::bad_parameter;
use crate::endpoint::header;
use crate::fault::Fault;
use crate::service::Rest;
use crate::twin::Twin;

/// One request, as its operation sees it.
pub(super) struct Call<'a> {
    pub(super) twin: &'a Arc<Twin>,
    pub(super) parts: &'a Parts,
    pub(super) body: &'a [u8],
    pub(super) now: jiff::Timestamp,
}

impl Call<'_> {
    /// A parameter of the query.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        let query = self.parts.uri.query()?.as_bytes();
        form_urlencoded::parse(query)
            .find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    }

    /// A number of the query.
    pub(super) fn query_number(&self, name: &str) -> Result<Option<u32>, Fault> {
        self.query(name).map(|text| number(name, &text)).transpose()
    }

    /// A header that must be there.
    pub(super) fn header(&self, name: &str) -> Result<&str, Fault> {
        header(&self.parts.headers, name)
            .ok_or_else(|| bad_parameter(format!("The header {name} is missing.")))
    }
}

/// A number of a path, query or header.
pub(super) fn number(name: &str, text: &str) -> Result<u32, Fault> {
    text.parse().map_err(|_| bad_parameter(format!("'{text}' is not a value for {name}.")))
}

enum Operation<'a> {
    Start,
    Put(&'a str, &'a str),
    Complete(&'a str),
    Get(&'a str, &'a str),
    List(&'a str),
    ListChanged(&'a str),
}

impl<'a> Operation<'a> {
    fn of(parts: &'a Parts) -> Option<Self> {
        let path: Vec<&str> = parts.uri.path().trim_start_matches('/').split('/').collect();
        match (&parts.method, path.as_slice()) {
            (&Method::POST, ["snapshots"]) => Some(Self::Start),
            (&Method::POST, ["snapshots", "completion", id]) => Some(Self::Complete(id)),
            (&Method::PUT, ["snapshots", id, "blocks", index]) => Some(Self::Put(id, index)),
            (&Method::GET, ["snapshots", id, "blocks", index]) => Some(Self::Get(id, index)),
            (&Method::GET, ["snapshots", id, "blocks"]) => Some(Self::List(id)),
            (&Method::GET, ["snapshots", id, "changedblocks"]) => Some(Self::ListChanged(id)),
            _ => None,
        }
    }
}

/// The operation's name.
pub(crate) fn operation(parts: &Parts) -> Option<&'static str> {
    Some(match Operation::of(parts)? {
        Operation::Start => "StartSnapshot",
        Operation::Put(..) => "PutSnapshotBlock",
        Operation::Complete(_) => "CompleteSnapshot",
        Operation::Get(..) => "GetSnapshotBlock",
        Operation::List(_) => "ListSnapshotBlocks",
        Operation::ListChanged(_) => "ListChangedBlocks",
    })
}

/// Carries out a request. Blocking.
pub(crate) fn answer(
    twin: &Arc<Twin>,
    parts: &Parts,
    body: &[u8],
    now: jiff::Timestamp,
) -> Result<Rest, Fault> {
    let call = Call { twin, parts, body, now };
    match Operation::of(parts) {
        Some(Operation::Start) => writing::start(&call),
        Some(Operation::Put(id, index)) => writing::put(&call, id, number("BlockIndex", index)?),
        Some(Operation::Complete(id)) => writing::complete(&call, id),
        Some(Operation::Get(id, index)) => lists::get(&call, id, number("BlockIndex", index)?),
        Some(Operation::List(id)) => lists::blocks(&call, id),
        Some(Operation::ListChanged(id)) => lists::changed(&call, id),
        None => Err(Fault::new(404, "UnknownOperationException", "There is no such operation")),
    }
}
