//! `GetConsoleScreenshot`: what the guest's screen shows now, as a JPEG picture.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jpeg_encoder::{ColorType, Encoder};
use serde_json::{Value, json};

use super::actions::Call;
use super::instances::check_ids;
use crate::fault::Fault;
use crate::machine::{Picture, picture};
use crate::state::InstanceState;

/// About what EC2's pictures have.
const QUALITY: u8 = 75;

/// `GetConsoleScreenshot`. Blocking: QEMU takes its time.
pub(super) fn get(call: &Call<'_>) -> Result<Value, Fault> {
    let id = call.root().require("InstanceId")?;
    let state = call.twin.store.lock();
    check_ids(&state, &[id], call)?;
    let instance = state.instances[id].clone();
    drop(state);
    if !instance.has_screen() {
        let message =
            format!("The instance type '{}' has no console screen.", instance.instance_type);
        return Err(Fault::client("UnsupportedOperation", message));
    }
    if instance.state != InstanceState::Running {
        let message = format!("The instance '{id}' is {}, not running.", instance.state.name());
        return Err(Fault::client("IncorrectInstanceState", message));
    }
    let picture = picture(&call.twin.machines, id, &call.twin.store.instance_dir(id))
        .map_err(|error| Fault::internal(format!("no picture of the screen: {error}")))?;
    let jpeg = jpeg(&picture).map_err(|error| Fault::internal(error.to_string()))?;
    Ok(json!({ "instanceId": id, "imageData": STANDARD.encode(jpeg) }))
}

fn jpeg(picture: &Picture) -> Result<Vec<u8>, jpeg_encoder::EncodingError> {
    let mut bytes = Vec::new();
    let encoder = Encoder::new(&mut bytes, QUALITY);
    encoder.encode(&picture.pixels, picture.width, picture.height, ColorType::Rgb)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::TestTwin;

    #[test]
    fn a_picture_becomes_a_jpeg_of_its_size() {
        let picture = Picture { width: 40, height: 30, pixels: vec![0x80; 40 * 30 * 3] };
        let bytes = jpeg(&picture).unwrap();
        assert!(bytes.starts_with(&[0xff, 0xd8]) && bytes.ends_with(&[0xff, 0xd9]));
        // The frame header: marker, length, precision, height, width.
        let at = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        assert_eq!(bytes[at + 5..at + 9], [0, 30, 0, 40]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn metal_and_arm64_have_no_screen() {
        let twin = TestTwin::new().await;
        for (image, kind) in
            [("ami-0172e86000000b105", "c5.metal"), ("ami-0172ea64000000ef1", "t4g.nano")]
        {
            let id = twin.run(image, kind, "");
            let form = format!("Action=GetConsoleScreenshot&InstanceId={id}");
            assert_eq!(twin.code(&form), "UnsupportedOperation");
        }
        let unknown = "Action=GetConsoleScreenshot&InstanceId=i-0123456789abcdef0";
        assert_eq!(twin.code(unknown), "InvalidInstanceID.NotFound");
    }
}
