//! Make as it is asked, and as it answers: with a Makefile of the test's own in place of
//! L4Re's.

use super::{Cancel, Cause, Made, MakeError, MakeRequest, make, make_argv};
use crate::arch::Kind;
use crate::image::sample::Sample;
use crate::tree::KernelTree;
use crate::tree::sample::SampleTree;

/// Copies the image that the test made, as L4Re's image builder would.
const MAKEFILE: &str = "\
efiimage:
\t@mkdir -p images
\t@echo building $(E) for $(PT); echo warning >&2
\t@cp --update made.efi images/bootstrap_$(E).efi
\t@ln -snf bootstrap_$(E).efi images/bootx64.efi
elfimage:
\t@echo '/l4/conf/modules.list: Unknown entry \"$(E)\"!' >&2
\t@echo 'Available entries: hello' >&2
\t@exit 1
";

fn sample() -> SampleTree {
    let sample = SampleTree::new("entry hello\n", MAKEFILE);
    sample.write("build/made.efi", Sample::new(1).pe(0x8664));
    sample
}

fn request(sample: &SampleTree) -> MakeRequest {
    MakeRequest::new(sample.tree(), Kind::Efi, "hello")
}

fn run(request: &MakeRequest) -> (Result<Made, MakeError>, String) {
    let mut output = Vec::new();
    let made = make(request, &Cancel::default(), &mut |bytes| output.extend_from_slice(bytes));
    (made, String::from_utf8(output).unwrap())
}

/// The words after `make -C <tree>`.
fn words(request: &MakeRequest) -> Vec<String> {
    let argv = make_argv(request);
    assert_eq!(argv[..3], ["make", "-C", request.tree.root().as_str()]);
    argv[3..].to_vec()
}

fn var(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn the_entry_is_always_given() {
    let sample = sample();
    assert_eq!(words(&request(&sample)), ["efiimage", "E=hello"]);
    for entry in ["", "  "] {
        let request = MakeRequest { entry: entry.to_owned(), ..request(&sample) };
        assert!(matches!(run(&request).0, Err(MakeError::NoEntry)));
    }
    for name in ["E", "ENTRY"] {
        let request = MakeRequest { vars: vec![var(name, "")], ..request(&sample) };
        assert!(matches!(run(&request).0, Err(MakeError::Reserved { .. })));
    }
    let request = MakeRequest { entry: "a\"; echo".to_owned(), ..request(&sample) };
    assert!(matches!(run(&request).0, Err(MakeError::Unspeakable { character: '"', .. })));
}

#[test]
fn variables_win_over_settings() {
    let sample = sample();
    let mut request = request(&sample);
    request.platform = Some("arm_sbsa".to_owned());
    request.jobs = Some(4);
    request.verbose = true;
    assert_eq!(words(&request), ["-j4", "efiimage", "E=hello", "PT=arm_sbsa", "V=1"]);
    request.vars = vec![var("PT", "pc"), var("MODULES_LIST", "/x y.list")];
    request.jobs = None;
    assert_eq!(words(&request), ["efiimage", "E=hello", "V=1", "PT=pc", "MODULES_LIST=/x y.list"]);
    request.vars = vec![var("-f", "evil")];
    assert!(matches!(run(&request).0, Err(MakeError::BadVariable { .. })));
}

#[test]
fn a_kernel_hides_no_search_path() {
    let sample = sample();
    let kernel = KernelTree::open(&sample.path("kernel")).unwrap();
    let path = kernel.root.clone();
    let mut request = request(&sample);
    request.search_path = Some("/of/environment".to_owned());
    assert_eq!(words(&request).len(), 2, "make reads the environment itself");
    request.kernel = Some(kernel);
    assert_eq!(words(&request)[2], format!("MODULE_SEARCH_PATH={path}:/of/environment"));
    request.vars = vec![var("MODULE_SEARCH_PATH", "/a:/b")];
    assert_eq!(words(&request)[2..], [format!("MODULE_SEARCH_PATH={path}:/a:/b")]);
}

#[test]
fn a_kernel_for_another_machine() {
    let sample = sample();
    sample.write("kernel/globalconfig.out", "CONFIG_ARM=y\nCONFIG_BIT64=y\n");
    let kernel = KernelTree::open(&sample.path("kernel")).unwrap();
    let request = MakeRequest { kernel: Some(kernel), ..request(&sample) };
    let error = run(&request).0.unwrap_err().to_string();
    assert!(error.ends_with("is for aarch64, the build tree for x86_64"), "{error}");
}

#[test]
fn an_image_and_its_standard_name() {
    let sample = sample();
    let request = MakeRequest { platform: Some("pc".to_owned()), ..request(&sample) };
    let (made, output) = run(&request);
    let made = made.unwrap();
    assert_eq!(made.image.path, sample.path("build/images/bootstrap_hello.efi"));
    assert_eq!(made.standard, Some(sample.path("build/images/bootx64.efi")));
    assert!(made.written);
    assert!(output.contains("building hello for pc\nwarning\n"), "{output}");
    assert!(!run(&request).0.unwrap().written, "nothing to do the second time");
}

#[test]
fn an_output_folder_of_ones_own() {
    let sample = sample();
    let mut request = request(&sample);
    request.vars = vec![var("BOOTSTRAP_OUTPUT_DIR", "/elsewhere"), var("IMAGE_BASENAME", "boot")];
    assert_eq!(request.image_path(), "/elsewhere/boot_hello.efi");
    let error = run(&request).0.unwrap_err();
    assert!(matches!(error, MakeError::NoImage { path } if path == "/elsewhere/boot_hello.efi"));
}

#[test]
fn what_make_says_is_understood() {
    let sample = sample();
    let request = MakeRequest { kind: Kind::Elf, entry: "helo".to_owned(), ..request(&sample) };
    let Err(MakeError::Failed(failure)) = run(&request).0 else { panic!("it must fail") };
    assert_eq!(failure.code, Some(2));
    let known = vec!["hello".to_owned()];
    assert_eq!(failure.cause, Cause::UnknownEntry { name: "helo".to_owned(), known });
}

#[test]
fn images_that_are_not_usable() {
    let sample = sample();
    let request = request(&sample);
    let whole = Sample::new(1).pe(0x8664);
    sample.write("build/made.efi", &whole[..whole.len() / 2]);
    assert!(matches!(run(&request).0, Err(MakeError::Image(_))));
    sample.remove("build/images");
    sample.write("build/made.efi", Sample::new(3).pe(0xaa64));
    let error = run(&request).0.unwrap_err().to_string();
    assert!(error.contains("it is for aarch64, the tree for x86_64"), "{error}");
}
