//! A call on its way through the faults that it meets.

use http::Response;

use crate::fault::Fault;
use crate::faults::{Effect, Faults, truncate};

type Answer = Response<s3s::Body>;

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped, as the plan of faults has it")]
pub(crate) struct Dropped;

/// Carries out a call, or what happens to it instead.
pub(crate) async fn meet(
    faults: &Faults,
    name: &str,
    refuse: impl FnOnce(Fault) -> Answer,
    act: impl Future<Output = Answer>,
) -> Result<Answer, Dropped> {
    let decision = faults.decide(name);
    tokio::time::sleep(decision.delay).await;
    match decision.effect {
        Some(Effect::Error { code, status }) => Ok(refuse(planned(name, code, status))),
        Some(Effect::Reset) => Err(Dropped),
        Some(Effect::LostAnswer) => {
            act.await;
            Err(Dropped)
        }
        Some(Effect::Truncate { bytes }) => Ok(truncate(act.await, bytes)),
        _ => Ok(act.await),
    }
}

/// The error that a plan asks for in the place of a call.
pub(crate) fn planned(call: &str, code: String, status: u16) -> Fault {
    let message = if code == "UnauthorizedOperation" {
        let encoded = crate::sts::encoded_refusal(call);
        format!(
            "You are not authorized to perform this operation. The plan of faults has it so. \
             Encoded authorization failure message: {encoded}"
        )
    } else {
        "The plan of faults has it so.".to_owned()
    };
    Fault::new(status, code, message)
}
