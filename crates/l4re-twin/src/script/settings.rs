//! iPXE's settings: those of the machine, and those that the script sets.

use std::collections::BTreeMap;

use crate::machine::system_uuid;
use crate::state::Instance;

/// The address that QEMU's network gives its first guest.
const ADDRESS: &str = "169.254.10.15";

/// All settings, as text; a type behind the name (`:int32`) says how it is shown.
#[derive(Debug, Default)]
pub(super) struct Settings(BTreeMap<String, String>);

impl Settings {
    /// What iPXE would know of an instance.
    pub(super) fn of(instance: &Instance) -> Self {
        let network = [
            ("ip", ADDRESS.to_owned()),
            ("netmask", "255.255.0.0".to_owned()),
            ("gateway", "169.254.0.2".to_owned()),
            ("dns", "169.254.0.3".to_owned()),
            ("mac", instance.mac.clone()),
            ("chip", "virtio-net".to_owned()),
            ("ifname", "net0".to_owned()),
        ];
        let uuid = system_uuid(&instance.id);
        let own = [
            ("product", instance.instance_type.clone()),
            ("manufacturer", "Amazon EC2".to_owned()),
            ("asset", "Amazon EC2".to_owned()),
            ("smbios/2.8.0", instance.id.clone()),
            ("serial", uuid.clone()),
            ("uuid", uuid),
            ("buildarch", "arm64".to_owned()),
            ("platform", "efi".to_owned()),
            ("version", "2.0.0+".to_owned()),
            ("hostname", format!("ip-{}", instance.private_ip.replace('.', "-"))),
            ("filename", "http://169.254.169.254/latest/user-data".to_owned()),
        ];
        let mut settings = Self::default();
        for (name, value) in own {
            settings.0.insert(name.to_owned(), value);
        }
        for (name, value) in network {
            // `${ip}` is the same as `${net0/ip}` and `${netX/ip}`.
            for prefix in ["", "net0/", "netX/"] {
                settings.0.insert(format!("{prefix}{name}"), value.clone());
            }
        }
        settings
    }

    /// The value that `${name}` or `${name:type}` stands for; nothing if it is not set.
    pub(super) fn get(&self, name: &str) -> String {
        let (name, kind) = name.split_once(':').unwrap_or((name, ""));
        let value = match name {
            "unixtime" => jiff::Timestamp::now().as_second().to_string(),
            _ => self.0.get(name).cloned().unwrap_or_default(),
        };
        if value.is_empty() {
            return value;
        }
        match kind {
            "hexhyp" => value.replace(':', "-"),
            "hexraw" => value.replace(':', ""),
            "uristring" => {
                percent_encoding::utf8_percent_encode(&value, percent_encoding::NON_ALPHANUMERIC)
                    .to_string()
            }
            kind if kind.starts_with("int") || kind.starts_with("uint") => {
                number(&value).to_string()
            }
            _ => value,
        }
    }

    /// Sets a setting; an empty value takes it away.
    pub(super) fn set(&mut self, name: &str, value: String) {
        let name = name.split_once(':').map_or(name, |(name, _)| name);
        if value.is_empty() {
            self.0.remove(name);
        } else {
            self.0.insert(name.to_owned(), value);
        }
    }

    /// Adds to a number.
    pub(super) fn increase(&mut self, name: &str, by: i64) {
        let value = number(&self.get(name)).wrapping_add(by);
        self.set(name, value.to_string());
    }
}

/// Decimal or `0x` hexadecimal; 0 if it is no number.
pub(super) fn number(text: &str) -> i64 {
    match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).unwrap_or(0),
        None => text.parse().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_say_how_a_value_is_shown() {
        let mut settings = Settings::default();
        settings.set("net0/mac", "02:00:00:00:00:01".to_owned());
        assert_eq!(settings.get("net0/mac:hexhyp"), "02-00-00-00-00-01");
        settings.set("try:int32", "7".to_owned());
        settings.increase("try", 3);
        assert_eq!(settings.get("try:int32"), "10");
        settings.set("word", "a b/c".to_owned());
        assert_eq!(settings.get("word:uristring"), "a%20b%2Fc");
        settings.set("word", String::new());
        assert_eq!(settings.get("word"), "");
        settings.increase("fresh", 1);
        assert_eq!(settings.get("fresh"), "1");
    }
}
