//! iPXE's images: what was downloaded, by name, and which one is selected to be booted.

use bytes::Bytes;

/// A downloaded file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) name: String,
    pub(super) arguments: String,
    pub(super) data: Bytes,
}

/// What an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Script,
    /// A UEFI program for arm64.
    Program,
    Unknown,
}

impl Image {
    /// Looks at the first bytes, as iPXE's image types do.
    pub(super) fn kind(&self) -> Kind {
        let data = &self.data;
        let is_script =
            data.starts_with(b"#!ipxe") && data.get(6).is_some_and(u8::is_ascii_whitespace);
        if is_script {
            return Kind::Script;
        }
        if is_arm64_pe(data) { Kind::Program } else { Kind::Unknown }
    }
}

/// PE/COFF: `MZ`, at 0x3c the offset of `PE\0\0`, behind it the machine, 0xAA64.
fn is_arm64_pe(data: &[u8]) -> bool {
    let offset =
        data.get(0x3c..0x40).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    let Some(offset) = offset.and_then(|offset| usize::try_from(offset).ok()) else { return false };
    let end = offset.saturating_add(6);
    data.starts_with(b"MZ") && data.get(offset..end) == Some(b"PE\0\0\x64\xaa")
}

/// All images of a boot.
#[derive(Debug, Default)]
pub(super) struct Images {
    list: Vec<Image>,
    selected: Option<String>,
}

impl Images {
    pub(super) fn find(&self, name: &str) -> Option<&Image> {
        self.list.iter().find(|image| image.name == name)
    }

    pub(super) fn find_mut(&mut self, name: &str) -> Option<&mut Image> {
        self.list.iter_mut().find(|image| image.name == name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Image, bool)> {
        self.list.iter().map(|image| (image, self.selected.as_ref() == Some(&image.name)))
    }

    pub(super) fn add(&mut self, image: Image) {
        self.list.push(image);
    }

    pub(super) fn select(&mut self, name: &str) {
        self.selected = Some(name.to_owned());
    }

    pub(super) fn selected(&self) -> Option<&Image> {
        self.find(self.selected.as_deref()?)
    }

    pub(super) fn free(&mut self, name: &str) -> bool {
        let before = self.list.len();
        self.list.retain(|image| image.name != name);
        if self.selected.as_deref() == Some(name) {
            self.selected = None;
        }
        self.list.len() < before
    }

    pub(super) fn free_all(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(data: &[u8]) -> Kind {
        Image { name: String::new(), arguments: String::new(), data: Bytes::copy_from_slice(data) }
            .kind()
    }

    #[test]
    fn images_are_known_by_their_first_bytes() {
        assert_eq!(kind(b"#!ipxe\necho"), Kind::Script);
        assert_eq!(kind(b"#!ipxe"), Kind::Unknown);
        let mut pe = vec![0; 0x100];
        pe[..2].copy_from_slice(b"MZ");
        pe[0x3c] = 0x80;
        pe[0x80..0x86].copy_from_slice(b"PE\0\0\x64\xaa");
        assert_eq!(kind(&pe), Kind::Program);
        pe[0x84] = 0x86;
        assert_eq!(kind(&pe), Kind::Unknown);
        pe[0x3c..0x40].copy_from_slice(&[0xff; 4]);
        assert_eq!(kind(&pe), Kind::Unknown);
    }
}
