//! Answers as XML: a tree of JSON values whose keys are the XML names, written as EC2
//! writes it.
//!
//! Invariant: lists become `<item>` elements, `null` is left out, and every byte of text is
//! escaped or, if XML 1.0 cannot carry it, replaced.

use serde_json::Value;

/// EC2's answer to a call that succeeded.
pub(crate) fn ec2_response(action: &str, request_id: &str, body: &Value) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml.push_str(&format!(
        "<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
         <requestId>{request_id}</requestId>"
    ));
    write_members(&mut xml, body);
    xml.push_str(&format!("</{action}Response>"));
    xml
}

/// EC2's answer to a call that failed.
pub(crate) fn ec2_error(request_id: &str, code: &str, message: &str) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors>");
    write_element(&mut xml, "Error", &serde_json::json!({"Code": code, "Message": message}));
    xml.push_str(&format!("</Errors><RequestID>{request_id}</RequestID></Response>"));
    xml
}

/// One element with everything below it.
pub(crate) fn write_element(xml: &mut String, name: &str, value: &Value) {
    if value.is_null() {
        return;
    }
    xml.push('<');
    xml.push_str(name);
    xml.push('>');
    match value {
        Value::Object(_) => write_members(xml, value),
        Value::Array(items) => items.iter().for_each(|item| write_element(xml, "item", item)),
        Value::String(text) => write_text(xml, text),
        other => xml.push_str(&other.to_string()),
    }
    xml.push_str("</");
    xml.push_str(name);
    xml.push('>');
}

fn write_members(xml: &mut String, value: &Value) {
    for (name, member) in value.as_object().into_iter().flatten() {
        write_element(xml, name, member);
    }
}

fn write_text(xml: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '\r' => xml.push_str("&#13;"),
            '\t' | '\n' | ' '..='\u{fffd}' | '\u{10000}'.. => xml.push(c),
            _ => xml.push('\u{fffd}'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_written_with_items_and_without_nulls() {
        let body = serde_json::json!({
            "set": [{"a": "<&>\u{1}"}, {"a": true}], "none": null, "empty": [], "n": 1.5
        });
        assert_eq!(
            ec2_response("Do", "id", &body),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <DoResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>id</requestId>\
             <empty></empty><n>1.5</n><set><item><a>&lt;&amp;&gt;\u{fffd}</a></item>\
             <item><a>true</a></item></set></DoResponse>"
        );
    }

    #[test]
    fn errors_have_ec2s_shape() {
        assert_eq!(
            ec2_error("id", "InvalidAction", "no \"x\""),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error>\
             <Code>InvalidAction</Code><Message>no \"x\"</Message></Error></Errors>\
             <RequestID>id</RequestID></Response>"
        );
    }
}
