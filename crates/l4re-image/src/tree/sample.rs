//! Trees for tests: the files by which trees are recognised, and a Makefile of the test's own.

use std::os::unix::fs::symlink;

use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::Utf8TempDir;

use super::BuildTree;

/// A folder with an L4Re build tree `build`, its sources `src`, and a kernel tree `kernel`.
pub(crate) struct SampleTree {
    dir: Utf8TempDir,
}

impl SampleTree {
    /// A finished tree for amd64 with this module list and this Makefile.
    pub(crate) fn new(modules_list: &str, makefile: &str) -> Self {
        let sample = Self { dir: camino_tempfile::tempdir().unwrap() };
        sample.write("src/conf/modules.list", modules_list);
        sample.write("src/mk/Makeconf", "");
        sample.write("src/Makefile", "");
        let config = "CONFIG_BUILD_ARCH=\"amd64\"\nCONFIG_BITS=64\nCONFIG_CPU=\"gen\"\n\
                      CONFIG_BUILD_ABI=\"l4f\"\nCONFIG_PLATFORM_TYPE=\"pc\"\n";
        sample.write("build/.kconfig", config);
        sample.write("build/include/generated/autoconf.h", "");
        sample.write("build/bin/amd64_gen/plain/bootstrap.efi", "");
        sample.write("build/Makefile", makefile);
        sample.write("kernel/globalconfig.out", "CONFIG_AMD64=y\nCONFIG_PF_PC=y\n");
        sample.write("kernel/fiasco", "");
        symlink(sample.path("src"), sample.path("build/source")).unwrap();
        sample
    }

    pub(crate) fn path(&self, name: &str) -> Utf8PathBuf {
        // As build trees do, through links.
        self.dir.path().canonicalize_utf8().unwrap().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap_or(Utf8Path::new("/"))).unwrap();
        fs_err::write(path, contents).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        let path = self.path(name);
        match path.symlink_metadata().unwrap().is_dir() {
            true => fs_err::remove_dir_all(path).unwrap(),
            false => fs_err::remove_file(path).unwrap(),
        }
    }

    pub(crate) fn tree(&self) -> BuildTree {
        BuildTree::open(&self.path("build")).unwrap()
    }
}
