//! iPXE's part from its first words on the console to the program that it boots.

use std::sync::Arc;

use bytes::Bytes;

use crate::console::Console;
use crate::script::commands::{End, Interpreter};
use crate::script::failure::Failure;
use crate::script::fetch::Fetcher;
use crate::script::settings::Settings;
use crate::state::Instance;
use crate::twin::Twin;

/// How a script ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// This program is to be started by the firmware.
    Boot(Bytes),
    /// The script asks for a reboot.
    Reboot,
    /// The script switches the machine off.
    PowerOff,
    /// Control went back to the firmware.
    Exit,
}

/// Follows the user data of an instance and says on its console what iPXE would.
pub(crate) async fn follow(
    twin: &Arc<Twin>,
    id: &str,
    console: &Arc<Console>,
    network: bool,
) -> Outcome {
    let instance = twin.store.lock().instances.get(id).cloned();
    let Some(instance) = instance else { return Outcome::Exit };
    let fetcher = Fetcher { guests: twin.guests.clone(), instance: id.to_owned() };
    let say = |text: &str| console.print(text.as_bytes());
    say(&greeting(&instance));
    if !network {
        say(" No configuration methods succeeded (https://ipxe.org/040ee119)\r\n");
        return give_up(&say);
    }
    say(" ok\r\nnet0: 169.254.10.15/255.255.0.0 gw 169.254.0.2\r\n");
    let script = fetcher.user_data().await;
    let url = "http://169.254.169.254/latest/user-data";
    let script = match script {
        Ok(script) => {
            say(&format!("{url}... ok\r\n"));
            script
        }
        Err(failure) => {
            say(&format!("{url}... {failure}\r\n"));
            return give_up(&say);
        }
    };
    let print = {
        let console = console.clone();
        move |text: &str| console.print(text.as_bytes())
    };
    let mut interpreter = Interpreter::new(Settings::of(&instance), fetcher, Box::new(print));
    match interpreter.start("user-data", script).await {
        End::Boot(program, arguments) => {
            if !arguments.is_empty() {
                say(&format!("l4re-twin: the firmware passes no arguments on: {arguments}\r\n"));
            }
            Outcome::Boot(program)
        }
        End::Reboot => Outcome::Reboot,
        End::PowerOff => Outcome::PowerOff,
        End::Script(result) => {
            if let Err(failure) = result
                && failure != Failure::FALSE
            {
                say(&format!("Could not boot: {failure}\r\n"));
            }
            give_up(&say)
        }
    }
}

fn greeting(instance: &Instance) -> String {
    format!(
        "l4re-twin: no arm64 iPXE binary is here, so the twin follows the user-data script itself \
         (--ipxe FILE names one)\r\n\
         iPXE initialising devices...ok\r\n\r\n\r\n\r\n\
         iPXE 2.0.0+ -- Open Source Network Boot Firmware -- https://ipxe.org\r\n\
         Features: DNS HTTP EFI\r\n\
         Amazon EC2 - {} - {}\r\n\
         net0: {} using virtio-net on 0000:00:02.0 (Ethernet) [open]\r\n\
         Configuring (net0 {})......",
        instance.instance_type, instance.id, instance.mac, instance.mac
    )
}

fn give_up(say: &impl Fn(&str)) -> Outcome {
    say("l4re-twin: nothing was booted; on EC2 control would go back to the firmware now\r\n");
    Outcome::Exit
}
