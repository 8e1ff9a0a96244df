//! The same client against an emulator that others wrote, and against no cloud at all.

use std::time::Duration;

use l4re_tests::{Desk, Moto, given};

#[test]
fn uploads_on_moto() {
    let (desk, _moto) = Moto::as_aws();
    let tree = given("L4RE_TEST_TREE_AMD64").to_string();
    let image = desk.l4re(&["elfimage", "hello", "--tree", &tree]).code(0).stdout;
    let words = ["upload", image.trim()];
    desk.l4re(&words).code(6).says("does not exist").says("--make-bucket");
    desk.l4re(&["upload", image.trim(), "--make-bucket"]).code(0).prints("X-Amz-Signature");
    desk.l4re(&words).code(0).says("Unchanged").prints("X-Amz-Signature");
}

#[test]
fn the_life_of_an_instance_on_moto() {
    let (desk, _moto) = Moto::as_aws();
    let image = desk.image().to_string();
    let words = ["deploy", &image, "--metal", "--detach", "--make-bucket"];
    let output = desk.l4re(&words).code(0);
    let output = output.says("m7g.metal: UEFI, iPXE").says("2.611 $/h").says("cargo l4re rm hello");
    // A store that is slow to say that there is no bucket is told of before.
    let [made, sent] = ["Made bucket", "Uploading"].map(|line| output.stderr.rfind(line));
    assert!(made.is_some() && made < sent, "{}", output.stderr);
    desk.l4re(&["ps"]).code(0).prints("m7g.metal").prints("running").prints("tester");
    let id = output.stderr.split_whitespace().find(|word| word.starts_with("i-")).unwrap();
    desk.l4re(&words).code(0).says(&format!("Found {id}"));
    let other: Vec<_> = words.iter().copied().chain(["--command-line", "-serial_esc"]).collect();
    desk.l4re(&other).code(6).says("already running").says("cargo l4re rm hello");
    desk.l4re(&["stop", "hello"]).code(0);
    desk.l4re(&["ps"]).code(0).prints("stopped");
    // Another region has other instances, and what it says to type stays there.
    let there = |words: &[&str]| desk.l4re(&[words, &["--region", "us-west-2"]].concat());
    there(&["ps"]).code(0).says("no instances");
    let output = there(&words).code(0).says("cargo l4re rm --region us-west-2 hello");
    assert!(!output.stderr.contains(id), "{}", output.stderr);
    there(&["rm", "hello"]).code(0);
    desk.l4re(&words).code(6).says("exists already").says("(stopped)");
    desk.l4re(&["start", "hello"]).code(0);
    desk.l4re(&["rm", "hello"]).code(0);
    desk.l4re(&["ps"]).code(0).says("no instances");
}

#[test]
fn what_cannot_be_launched_is_found_before_and_says_what_to_type() {
    let (desk, _moto) = Moto::as_aws();
    let image = desk.image().to_string();
    let deploy = ["deploy", &image, "--detach", "--make-bucket"];
    let in_zone = |zone| desk.l4re(&[&deploy[..], &["--zone", zone]].concat());
    in_zone("us-east-1z").code(6).says("not offered in us-east-1z, but in us-east-1a, us-east-1b");
    in_zone("us-east-1b").code(0).says("Launching c7g.medium in us-east-1b");
    desk.l4re(&["rm", "hello"]).code(0);
    let python = given("L4RE_TEST_VENV").join("bin/python");
    let script = "import boto3, os\nec2 = boto3.client('ec2', endpoint_url=os.environ['AWS_ENDPOINT_URL'])\n\
         for subnet in ec2.describe_subnets()['Subnets']:\n    ec2.delete_subnet(SubnetId=subnet['SubnetId'])\n";
    desk.start_program(&python, &["-c", script]).wait(Duration::from_secs(180)).code(0);
    let output = desk.l4re(&deploy).code(6).says("no default subnet in us-east-1");
    let output = output.says("aws ec2 create-default-vpc --region us-east-1").says("--subnet ID");
    assert!(!output.stderr.contains("Launching"), "{}", output.stderr);
    desk.l4re(&["ps"]).code(0).says("no instances");
}

#[test]
fn a_denied_launch_says_why_and_what_to_do() {
    let twin = Desk::new();
    let image = twin.image().to_string();
    twin.l4re(&["twin", "fault", "add", "RunInstances", "--error", "UnauthorizedOperation:403"])
        .code(0);
    let words = ["deploy", &image, "--local", "--detach"];
    let output = twin.l4re(&words).code(6).says("access denied: ec2:RunInstances");
    output.says("no statement of any policy allows it").says("cargo l4re doctor --policy");
}

#[test]
fn a_region_that_was_mistyped() {
    let desk = Desk::new().with_keys().with("AWS_REGION", "eu-centrall-1");
    desk.l4re(&["ps"]).code(6).says("region `eu-centrall-1` is not usable").says("`eu-central-1`");
}

#[test]
fn no_credentials() {
    let desk = Desk::new().with("AWS_REGION", "us-east-1");
    desk.l4re(&["ps"]).code(6).says("no AWS credentials").says("aws configure");
}

#[test]
fn no_region() {
    let desk = Desk::new().with("AWS_ACCESS_KEY_ID", "A").with("AWS_SECRET_ACCESS_KEY", "s");
    desk.l4re(&["ps"]).code(6).says("no AWS region").says("AWS_REGION");
}

#[test]
fn nobody_listens() {
    // A port that the kernel gives nobody who asks for any.
    let desk = Desk::new().with_keys().with("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    desk.l4re(&["ps"]).code(6).says("cannot reach").says("AWS_ENDPOINT_URL");
    let desk = desk.with("AWS_ENDPOINT_URL", "");
    desk.l4re(&["ps"]).code(6).says("AWS_ENDPOINT_URL is set to nothing").says("unset");
}
