//! Launches that must go elsewhere, that would lead nowhere, or that are left half-way; on the
//! twin as AWS, without a boot.

use std::time::{Duration, Instant};

use l4re_tests::{Desk, Moto, given};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(180);

/// A desk with an image whose AWS is the twin of another desk.
fn twin_and_desk() -> (Desk, Desk, String) {
    let twin = Desk::new();
    let desk = twin.as_aws();
    let image = desk.image().to_string();
    (twin, desk, image)
}

#[test]
fn spot_capacity_comes_first_and_on_demand_where_it_is_gone() {
    let (twin, desk, image) = twin_and_desk();
    let gone = ["twin", "fault", "add", "RunInstances", "--no-capacity", "--spot"];
    twin.l4re(&gone).code(0).says("as spot capacity");
    let types = ["--type", "c7g.medium", "--type", "m7g.medium"];
    let deploy = ["deploy", &image, "--detach", "--make-bucket", "--spot"];
    let words = [&deploy[..], &types[..]].concat();
    let output = desk.l4re(&words).code(0);
    for kind in ["c7g", "m7g"] {
        for zone in ["a", "b", "c"] {
            let place = format!("{kind}.medium in eu-central-1{zone}, spot");
            assert!(output.stderr.contains(&format!("Launching {place}")), "{}", output.stderr);
            assert!(output.stderr.contains(&format!("warning: {place}: ")), "{}", output.stderr);
        }
    }
    let output = output.says("(c7g.medium in eu-central-1a)");
    assert!(!output.stderr.contains("at most"), "{}", output.stderr);
    desk.l4re(&["rm", "hello"]).code(0);

    twin.l4re(&["twin", "fault", "clear"]).code(0);
    let output = desk.l4re(&words).code(0).says("Launched i-").says("in eu-central-1a, spot)");
    output.says("at most 0.036 $/h");
    let output = desk.l4re(&["ps", "--message-format", "json"]).code(0);
    assert_eq!(output.message("instance")["spot"], true);
    desk.l4re(&["stop", "hello"]).code(6).says("cannot be stopped").says("cargo l4re rm hello");
    desk.l4re(&["rm", "helo"]).code(6).says("did you mean `hello`?");
    desk.l4re(&["rm", "hello"]).code(0);
    desk.l4re(&["start", "hello"]).code(6).says("no instance named").says("is terminated");

    // A quota holds for all zones and types of its sort.
    let full = ["--error", "MaxSpotInstanceCountExceeded", "--spot"];
    twin.l4re(&[&["twin", "fault", "add", "RunInstances"][..], &full].concat()).code(0);
    let output = desk.l4re(&words).code(0);
    assert_eq!(output.stderr.matches(", spot").count(), 2, "{}", output.stderr);
    desk.l4re(&["rm", "hello"]).code(0);
}

#[test]
fn a_subnet_that_leads_nowhere_is_found_before_the_launch() {
    let (twin, desk, image) = twin_and_desk();
    let find = |what: &str, query: &str| {
        let words = ["ec2", what, "--query", query, "--output", "text"];
        twin.aws(&words).code(0).stdout.trim().to_owned()
    };
    let subnet = find("describe-subnets", "Subnets[0].SubnetId");
    let table = find("describe-route-tables", "RouteTables[0].RouteTableId");
    let route = ["--route-table-id", &table, "--destination-cidr-block", "0.0.0.0/0"];
    let deploy = ["deploy", &image, "--detach", "--make-bucket", "--subnet", &subnet];
    // It gives no public address, but leads to the internet: so one is asked for.
    let private =
        ["modify-subnet-attribute", "--subnet-id", &subnet, "--no-map-public-ip-on-launch"];
    twin.aws(&[&["ec2"][..], &private].concat()).code(0);
    let asked = "NetworkInterface.AssociatePublicIpAddress = true";
    desk.l4re(&[&deploy[..], &["--dry-run"]].concat()).code(0).prints(asked);
    let wrong = ["deploy", &image, "--dry-run", "--expect", "("];
    desk.l4re(&wrong).code(2).says("unclosed group");
    desk.l4re(&deploy).code(0);
    let deadline = Instant::now() + LIMIT;
    let address = || {
        let output = desk.l4re(&["ps", "--message-format", "json"]).code(0);
        output.message("instance")["public_ip"].is_string()
    };
    while !address() {
        assert!(Instant::now() < deadline, "it gets no address");
    }
    desk.l4re(&["rm", "hello"]).code(0);
    // The settings can forbid that, which leaves no way.
    let none = desk.another().with("CARGO_L4RE_PUBLIC_ADDRESS", "false");
    none.l4re(&deploy).code(6).says("is to have no public address").says("public-address=true");

    twin.aws(&[&["ec2", "delete-route"][..], &route].concat()).code(0);
    let output = desk.l4re(&deploy).code(6).says(&subnet).says("neither to the internet nor to S3");
    let output = output.says("aws ec2 create-vpc-endpoint").says(&table).says("fetch-endpoint=");
    assert!(!output.stderr.contains("Launching"), "{}", output.stderr);
    let set = desk.another().with("CARGO_L4RE_SUBNET", &subnet);
    let output = set.l4re(&["doctor", "--arch", "arm64"]).code(6);
    output.prints("neither to the internet").prints("aws ec2 create-vpc-endpoint");
    set.l4re(&["park", "--arch", "arm64", "--detach"]).code(6).says("neither to the internet");
    // Who says how machines reach the store is believed.
    let elsewhere = desk.another().with("CARGO_L4RE_FETCH_ENDPOINT", "http://10.0.0.7:9000");
    elsewhere.l4re(&[&deploy[..], &["--dry-run"]].concat()).code(0).prints("http://10.0.0.7:9000/");
    // So is NAT, without an address.
    let nat = ["ec2", "create-route", "--nat-gateway-id", "nat-0123456789abcdef0"];
    twin.aws(&[&nat[..], &route].concat()).code(0);
    let output = desk.l4re(&[&deploy[..], &["--dry-run"]].concat()).code(0);
    assert!(!output.stdout.contains("AssociatePublicIpAddress"), "{}", output.stdout);
    // What may not be looked at is refused until somebody says what holds.
    let denied = ["twin", "fault", "add", "DescribeRouteTables", "--error"];
    twin.l4re(&[&denied[..], &["UnauthorizedOperation:403"]].concat()).code(0);
    let output = desk.l4re(&deploy).code(6).says("may not be looked at");
    output.says("ec2:DescribeRouteTables granted");
    let said = ["--dry-run", "--config", "public-address=false"];
    desk.l4re(&[&deploy[..], &said].concat()).code(0);
    desk.l4re(&["ps"]).code(0).says("no instances");
}

/// Makes a VPC on moto whose subnet has no way out; prints the subnet, the table and the VPC.
const NO_WAY_OUT: &str = "
import boto3, os
ec2 = boto3.client('ec2', endpoint_url=os.environ['AWS_ENDPOINT_URL'])
vpc = ec2.create_vpc(CidrBlock='10.9.0.0/16')['Vpc']['VpcId']
subnet = ec2.create_subnet(VpcId=vpc, CidrBlock='10.9.1.0/24', AvailabilityZone='us-east-1a')
table = ec2.describe_route_tables(Filters=[{'Name': 'vpc-id', 'Values': [vpc]}])
print(subnet['Subnet']['SubnetId'], table['RouteTables'][0]['RouteTableId'], vpc)
";

#[test]
fn the_endpoint_that_is_advised_leads_to_the_store() {
    let (desk, _moto) = Moto::as_aws();
    let image = desk.image().to_string();
    let python = given("L4RE_TEST_VENV").join("bin/python");
    let made = desk.start_program(&python, &["-c", NO_WAY_OUT]).wait(LIMIT).code(0).stdout;
    let [subnet, ..] = made.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{made}") };
    let deploy = ["deploy", &image, "--detach", "--make-bucket", "--subnet", subnet];
    let refused = desk.l4re(&deploy).code(6).says("neither to the internet nor to S3");
    // What is advised is typed as it stands.
    let advised = refused.stderr.split("aws ec2 create-vpc-endpoint").nth(1).unwrap();
    let advised = advised.lines().next().unwrap().split_whitespace();
    let aws = given("L4RE_TEST_VENV").join("bin/aws");
    let words: Vec<_> = ["ec2", "create-vpc-endpoint"].into_iter().chain(advised).collect();
    desk.start_program(&aws, &words).wait(LIMIT).code(0);
    desk.l4re(&deploy).code(0).says("Launched i-");
    desk.l4re(&["rm", "hello"]).code(0);
}

#[test]
fn an_upload_that_is_interrupted_tells_how_far_it_was_and_leaves_nothing() {
    let (twin, desk, image) = twin_and_desk();
    desk.l4re(&["upload", &image, "--bucket", "pics", "--make-bucket"]).code(0);
    let mut large = fs_err::read(&image).unwrap();
    large.resize(40 << 20, 7);
    let large = desk.write("large.efi", large).to_string();
    twin.l4re(&["twin", "fault", "add", "s3:PUT", "--delay", "50000"]).code(0);
    // What it says goes to a file, so that it is read while it runs.
    let script = "exec \"$0\" l4re upload \"$1\" --bucket pics 2> said";
    let binary = given("L4RE_TEST_BINARY");
    let running = desk.start_program("sh".into(), &["-c", script, binary.as_str(), &large]);
    let uploads = || {
        let words = ["s3api", "list-multipart-uploads", "--bucket", "pics", "--output", "json"];
        let text = twin.aws(&words).code(0).stdout;
        let listed: Value = serde_json::from_str(&text).unwrap_or_default();
        listed["Uploads"].as_array().map_or(0, Vec::len)
    };
    let deadline = Instant::now() + LIMIT;
    while uploads() == 0 {
        assert!(Instant::now() < deadline, "no upload begins");
    }
    // A line each second, beside the one that begins it.
    desk.wait_for_log("said", " of 40.0 MiB, ", LIMIT);
    running.interrupt();
    running.wait(LIMIT).code(130);
    desk.wait_for_log("said", "Interrupted", LIMIT);
    assert_eq!(uploads(), 0);
}
