//! QEMU's monitor protocol (QMP), as much as the twin needs: a few commands without
//! answers of interest, and the events that tell how a guest ended.

use std::io;

use camino::Utf8Path;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// What QEMU reports of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// QEMU stands still because the guest reset itself.
    ShutdownByReset,
    /// The guest switched itself off.
    ShutdownByGuest,
    /// The guest stands still: its processor cannot go on, or a debugger holds it.
    Stopped,
    /// The answer to [`Command::Status`] is that its processor cannot go on.
    Broken,
    /// The answer to [`Command::Status`] is that the guest has ended, by reset or shutdown.
    Ended,
    /// The answer to [`Command::Status`] is another one.
    Lives,
}

/// The commands that the twin gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    PowerButton,
    SerialBreak,
    Status,
}

/// QEMU's side that talks.
#[derive(Debug)]
pub(crate) struct Events(Lines<BufReader<OwnedReadHalf>>);

/// QEMU's side that listens.
#[derive(Debug)]
pub(crate) struct Commands(OwnedWriteHalf);

#[derive(Deserialize)]
struct Message {
    event: Option<String>,
    #[serde(default)]
    data: Value,
    #[serde(rename = "return", default)]
    answer: Value,
    error: Option<Value>,
}

/// Begins to speak: QEMU's events come only after this.
pub(crate) async fn connect(stream: UnixStream) -> io::Result<(Events, Commands)> {
    let (read, write) = stream.into_split();
    let mut commands = Commands(write);
    commands.execute("qmp_capabilities", &Value::Null).await?;
    Ok((Events(BufReader::new(read).lines()), commands))
}

impl Events {
    /// The next event of interest; `None` when QEMU is gone.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        while let Ok(Some(line)) = self.0.next_line().await {
            if let Some(event) = parse(&line) {
                return Some(event);
            }
        }
        None
    }
}

fn parse(line: &str) -> Option<Event> {
    let message: Message = serde_json::from_str(line).ok()?;
    if let Some(error) = message.error {
        tracing::warn!("QEMU refuses a command: {error}");
    }
    if let Some(status) = message.answer["status"].as_str() {
        return Some(match status {
            "shutdown" => Event::Ended,
            "internal-error" => Event::Broken,
            _ => Event::Lives,
        });
    }
    match message.event?.as_str() {
        "SHUTDOWN" if message.data["reason"] == "guest-reset" => Some(Event::ShutdownByReset),
        "SHUTDOWN" if message.data["guest"] == true => Some(Event::ShutdownByGuest),
        "STOP" => Some(Event::Stopped),
        _ => None,
    }
}

impl Commands {
    /// Gives a command.
    pub(crate) async fn give(&mut self, command: Command) -> io::Result<()> {
        match command {
            Command::Status => self.execute("query-status", &Value::Null).await,
            Command::PowerButton => self.execute("system_powerdown", &Value::Null).await,
            Command::SerialBreak => {
                self.execute("chardev-send-break", &json!({ "id": "serial" })).await
            }
        }
    }

    /// Has a picture of the screen written to a file.
    pub(crate) async fn photograph(&mut self, file: &Utf8Path) -> io::Result<()> {
        self.execute("screendump", &json!({ "filename": file })).await
    }

    async fn execute(&mut self, name: &str, arguments: &Value) -> io::Result<()> {
        let mut message = json!({ "execute": name });
        if !arguments.is_null() {
            message["arguments"] = arguments.clone();
        }
        self.0.write_all(format!("{message}\n").as_bytes()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_tell_how_a_guest_ended() {
        let shutdown = |guest: bool, reason: &str| {
            parse(
                &json!({"event": "SHUTDOWN", "data": {"guest": guest, "reason": reason}})
                    .to_string(),
            )
        };
        assert_eq!(shutdown(true, "guest-reset"), Some(Event::ShutdownByReset));
        assert_eq!(shutdown(true, "guest-shutdown"), Some(Event::ShutdownByGuest));
        assert_eq!(shutdown(false, "host-signal"), None);
        let status = |name: &str| parse(&json!({"return": {"status": name}}).to_string());
        assert_eq!(
            (status("shutdown"), status("running")),
            (Some(Event::Ended), Some(Event::Lives))
        );
        assert_eq!(status("internal-error"), Some(Event::Broken));
        assert_eq!(parse("{\"event\": \"RESET\", \"data\": {}}"), None);
        for noise in ["", "{", "[]", "{\"return\": {}}", "{\"event\": 3}", "{\"QMP\": {}}"] {
            assert_eq!(parse(noise), None, "{noise}");
        }
    }
}
