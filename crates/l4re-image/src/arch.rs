//! Architectures and image kinds: one enum, with the spellings of L4Re, EC2 and Rust.
//!
//! Invariant: [`Arch`] is what runs on the machine. An amd64 ELF image is a 32-bit
//! multiboot file around a 64-bit one, and its architecture is [`Arch::X86_64`] all the same.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A processor architecture that L4Re knows.
///
/// Serialized and displayed in Rust's spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// amd64 in L4Re, `x86_64` elsewhere.
    #[serde(rename = "x86_64")]
    X86_64,
    /// arm64 in L4Re and EC2, `aarch64` in Rust.
    #[serde(rename = "aarch64")]
    Arm64,
    /// 32-bit x86.
    X86,
    /// 32-bit Arm.
    Arm,
    /// 32-bit MIPS.
    #[serde(rename = "mips")]
    Mips32,
    /// 64-bit MIPS.
    Mips64,
    /// 32-bit RISC-V.
    Riscv32,
    /// 64-bit RISC-V.
    Riscv64,
}

/// All architectures, the common ones first.
const ALL: [Arch; 8] = [
    Arch::X86_64,
    Arch::Arm64,
    Arch::X86,
    Arch::Arm,
    Arch::Mips32,
    Arch::Mips64,
    Arch::Riscv32,
    Arch::Riscv64,
];

impl Arch {
    /// Every architecture, the common ones first.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.into_iter()
    }

    /// L4Re's spelling, as `BUILD_ARCH`, `arch=` in modules.list and `T=` have it.
    ///
    /// MIPS and RISC-V have one spelling for both widths there.
    pub const fn l4re(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Arm64 => "arm64",
            Self::X86 => "x86",
            Self::Arm => "arm",
            Self::Mips32 | Self::Mips64 => "mips",
            Self::Riscv32 | Self::Riscv64 => "riscv",
        }
    }

    /// EC2's spelling; `None` where EC2 has no such machines.
    pub const fn ec2(self) -> Option<&'static str> {
        match self {
            Self::X86_64 => Some("x86_64"),
            Self::Arm64 => Some("arm64"),
            Self::X86 => Some("i386"),
            _ => None,
        }
    }

    /// Rust's spelling (`target_arch`).
    pub const fn rust(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "aarch64",
            Self::X86 => "x86",
            Self::Arm => "arm",
            Self::Mips32 => "mips",
            Self::Mips64 => "mips64",
            Self::Riscv32 => "riscv32",
            Self::Riscv64 => "riscv64",
        }
    }

    /// The file name under which firmware looks for an EFI application of this architecture
    /// in `EFI/BOOT` (UEFI 2.10, 3.5.1.1), in the lower case that L4Re uses.
    pub const fn efi_name(self) -> Option<&'static str> {
        match self {
            Self::X86_64 => Some("bootx64.efi"),
            Self::Arm64 => Some("bootaa64.efi"),
            Self::X86 => Some("bootia32.efi"),
            Self::Arm => Some("bootarm.efi"),
            Self::Riscv32 => Some("bootriscv32.efi"),
            Self::Riscv64 => Some("bootriscv64.efi"),
            Self::Mips32 | Self::Mips64 => None,
        }
    }

    /// Width of a machine word: 32 or 64.
    pub const fn bits(self) -> u32 {
        match self {
            Self::X86_64 | Self::Arm64 | Self::Mips64 | Self::Riscv64 => 64,
            Self::X86 | Self::Arm | Self::Mips32 | Self::Riscv32 => 32,
        }
    }

    /// Whether L4Re's build system makes EFI images for it (`check_for_arch` in its Makefile).
    pub const fn has_efi_image(self) -> bool {
        matches!(self, Self::X86_64 | Self::X86 | Self::Arm64)
    }

    /// From `BUILD_ARCH` and `BITS` of a build tree.
    pub fn from_l4re(name: &str, bits: u32) -> Option<Self> {
        ALL.into_iter().find(|arch| arch.l4re() == name && arch.bits() == bits)
    }

    /// From the machine field of a PE file header.
    pub const fn from_pe_machine(machine: u16) -> Option<Self> {
        match machine {
            0x8664 => Some(Self::X86_64),
            0xaa64 => Some(Self::Arm64),
            0x014c => Some(Self::X86),
            0x01c0 | 0x01c2 | 0x01c4 => Some(Self::Arm),
            0x5032 => Some(Self::Riscv32),
            0x5064 => Some(Self::Riscv64),
            _ => None,
        }
    }

    /// From `e_machine` of an ELF header and its class (`bits` 32 or 64).
    pub const fn from_elf_machine(machine: u16, bits: u32) -> Option<Self> {
        match (machine, bits) {
            (62, _) => Some(Self::X86_64),
            (183, _) => Some(Self::Arm64),
            (3, _) => Some(Self::X86),
            (40, _) => Some(Self::Arm),
            (8, 32) => Some(Self::Mips32),
            (8, _) => Some(Self::Mips64),
            (243, 32) => Some(Self::Riscv32),
            (243, _) => Some(Self::Riscv64),
            _ => None,
        }
    }

    /// From the flags of L4Re's image info: bit 0 is the width, bits 1 to 4 the family.
    pub const fn from_image_flags(flags: u64) -> Option<Self> {
        match (flags >> 1 & 0xf, flags & 1) {
            (0, 0) => Some(Self::X86),
            (0, _) => Some(Self::X86_64),
            (1, 0) => Some(Self::Arm),
            (1, _) => Some(Self::Arm64),
            (2, 0) => Some(Self::Mips32),
            (2, _) => Some(Self::Mips64),
            (5, 0) => Some(Self::Riscv32),
            (5, _) => Some(Self::Riscv64),
            _ => None,
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.rust())
    }
}

/// A word that names no architecture that L4Re knows.
#[derive(Debug, thiserror::Error)]
#[error(
    "unknown architecture `{0}`: known are amd64, arm64, x86, arm, mips, mips64, riscv32, riscv64"
)]
pub struct UnknownArch(pub String);

impl FromStr for Arch {
    type Err = UnknownArch;

    /// Reads any usual spelling in any case. The L4Re spellings without a width mean the
    /// width of L4Re's default configuration: `mips` is 32-bit, `riscv` 64-bit.
    fn from_str(word: &str) -> Result<Self, UnknownArch> {
        match word.to_ascii_lowercase().as_str() {
            "amd64" | "x86_64" | "x86-64" | "x64" => Ok(Self::X86_64),
            "arm64" | "aarch64" | "aa64" | "armv8" => Ok(Self::Arm64),
            "x86" | "i386" | "i486" | "i586" | "i686" | "ia32" => Ok(Self::X86),
            "arm" | "arm32" | "armv7" | "armv7a" | "armhf" => Ok(Self::Arm),
            "mips" | "mips32" => Ok(Self::Mips32),
            "mips64" => Ok(Self::Mips64),
            "riscv32" => Ok(Self::Riscv32),
            "riscv" | "riscv64" => Ok(Self::Riscv64),
            _ => Err(UnknownArch(word.to_owned())),
        }
    }
}

/// The file format of a boot image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A PE file for UEFI, made by `efiimage`.
    Efi,
    /// An ELF file, multiboot on x86, made by `elfimage`.
    Elf,
}

impl Kind {
    /// The make goal that builds it.
    pub const fn goal(self) -> &'static str {
        match self {
            Self::Efi => "efiimage",
            Self::Elf => "elfimage",
        }
    }

    /// The suffix of image files, without the dot.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Efi => "efi",
            Self::Elf => "elf",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Efi => "EFI",
            Self::Elf => "ELF",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_lead_back() {
        for arch in Arch::all() {
            assert_eq!(arch.rust().parse::<Arch>().unwrap(), arch);
            assert_eq!(Arch::from_l4re(arch.l4re(), arch.bits()), Some(arch));
            if let Some(ec2) = arch.ec2() {
                assert_eq!(ec2.parse::<Arch>().unwrap(), arch);
            }
        }
        assert_eq!("AMD64".parse::<Arch>().unwrap(), Arch::X86_64);
        assert_eq!("sparc".parse::<Arch>().unwrap_err().0, "sparc");
    }

    #[test]
    fn image_flags_of_real_images() {
        assert_eq!(Arch::from_image_flags(1), Some(Arch::X86_64));
        assert_eq!(Arch::from_image_flags(3), Some(Arch::Arm64));
        assert_eq!(Arch::from_image_flags(0x0b), Some(Arch::Riscv64));
        assert_eq!(Arch::from_image_flags(0x1f), None);
    }
}
