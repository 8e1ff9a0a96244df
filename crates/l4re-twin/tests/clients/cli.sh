#!/bin/bash
# Drives a twin with the aws command line through a whole life cycle. Everything that points
# it there is in the environment, as `cargo l4re twin env` prints it; $STATE is the twin's
# state directory. Each step says what it is, so that a failure is found.
set -Eeuo pipefail
cd "$(mktemp -d)"
trap 'echo "failed at line $LINENO"' ERR
trap 'rm -rf "$PWD"' EXIT

# fails CODE COMMAND…: the command must fail with this error code.
fails() {
    local code=$1; shift
    if "$@" >out 2>&1; then echo "not refused with $code: $*"; return 1; fi
    grep -q "$code" out || { cat out; echo "refused otherwise than with $code: $*"; return 1; }
}
same() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }

echo "bucket, put, presign"
aws s3 mb s3://cli-bucket >/dev/null
printf '#!ipxe\necho hello\n' >script
aws s3 cp --quiet script s3://cli-bucket/l4re/script
fails PreconditionFailed aws s3api put-object --bucket cli-bucket --key l4re/script --body script --if-none-match '*'
url=$(aws s3 presign s3://cli-bucket/l4re/script --expires-in 60)
python - "$url" <<'END'
import sys, urllib.error, urllib.request
assert urllib.request.urlopen(sys.argv[1]).read().startswith(b"#!ipxe")
for bad in (sys.argv[1].split("?")[0], sys.argv[1].replace("Expires=60", "Expires=61")):
    try:
        urllib.request.urlopen(bad)
        raise SystemExit(f"served: {bad}")
    except urllib.error.HTTPError as error:
        assert error.code == 403, error
END

echo "an AMI through EBS direct"
snapshot=$(aws ebs start-snapshot --volume-size 1 --query SnapshotId --output text)
head -c 524288 /dev/urandom >block
sum=$(sha256sum block | cut -c-64 | python -c 'import base64; print(base64.b64encode(bytes.fromhex(input())).decode())')
put=(aws ebs put-snapshot-block --snapshot-id "$snapshot" --data-length 524288
    --block-data block --checksum-algorithm SHA256)
"${put[@]}" --block-index 7 --checksum "$sum" >/dev/null
fails ValidationException "${put[@]}" --block-index 8 --checksum "${sum/[a-z]/0}"
aws ebs complete-snapshot --snapshot-id "$snapshot" --changed-blocks-count 1 >/dev/null
aws ec2 wait snapshot-completed --snapshot-ids "$snapshot"
token=$(aws ebs list-snapshot-blocks --snapshot-id "$snapshot" --query 'Blocks[0].BlockToken' --output text)
aws ebs get-snapshot-block --snapshot-id "$snapshot" --block-index 7 --block-token "$token" got >/dev/null
cmp block got
own=$(aws ec2 register-image --name cli --architecture x86_64 --virtualization-type hvm --ena-support \
    --boot-mode uefi --root-device-name /dev/xvda --query ImageId --output text \
    --block-device-mappings "DeviceName=/dev/xvda,Ebs={SnapshotId=$snapshot}")
same "$(aws ec2 describe-images --owners self --filters Name=name,Values='cl?' --query 'Images[].ImageId' --output text)" "$own"
fails InvalidSnapshot.InUse aws ec2 delete-snapshot --snapshot-id "$snapshot"

echo "run, with tags and a token; dry run"
image=$(aws ec2 describe-images --owners 833372943033 --output text --query 'Images[0].ImageId' \
    --filters 'Name=name,Values=iPXE (*' Name=architecture,Values=x86_64)
run=(aws ec2 run-instances --image-id "$image" --instance-type t3.nano --user-data file://script
    --tag-specifications 'ResourceType=instance,Tags=[{Key=l4re:name,Value=cli}]')
fails DryRunOperation "${run[@]}" --dry-run
id=$("${run[@]}" --client-token cli --query 'Instances[0].InstanceId' --output text)
same "$("${run[@]}" --client-token cli --query 'Instances[0].InstanceId' --output text)" "$id"
fails IdempotentParameterMismatch "${run[@]}" --client-token cli --instance-initiated-shutdown-behavior terminate
aws ec2 wait instance-running --instance-ids "$id"

echo "filters, tags, pagination"
named=(aws ec2 describe-instances --filters Name=tag:l4re:name,Values=cli Name=instance-state-name,Values=running
    --query 'Reservations[].Instances[].InstanceId' --output text)
same "$("${named[@]}")" "$id"
aws ec2 create-tags --resources "$id" --tags Key=l4re:name,Value=other
same "$("${named[@]}")" ""
aws ec2 delete-tags --resources "$id" --tags Key=l4re:name
all=$(aws ec2 describe-instance-types --query 'length(InstanceTypes[])' --page-size 20)
[ "$all" -ge 40 ]
aws ec2 describe-instance-types --max-items 7 --output json >first
python - <<'END'
import json
first = json.load(open("first"))
assert len(first["InstanceTypes"]) == 7 and first["NextToken"], first
END

echo "console output, user data, stop by force, start"
aws ec2 get-console-output --instance-id "$id" --latest >/dev/null
printf '#!ipxe\necho changed' >changed
change=(aws ec2 modify-instance-attribute --instance-id "$id" --user-data "Value=$(cat changed)")
fails IncorrectInstanceState "${change[@]}"
aws ec2 stop-instances --instance-ids "$id" --force --skip-os-shutdown >/dev/null
aws ec2 wait instance-stopped --instance-ids "$id"
"${change[@]}"
aws ec2 describe-instance-attribute --instance-id "$id" --attribute userData \
    --query UserData.Value --output text | base64 -d >now
cmp changed now
aws ec2 start-instances --instance-ids "$id" >/dev/null
aws ec2 wait instance-running --instance-ids "$id"

echo "faults"
printf '{"rules": [{"on": "ec2:DescribeVpcs", "times": 2, "effect": {"error": {"code": "InternalError", "status": 500}}},
    {"on": "ec2:DescribeSubnets", "effect": {"error": {"code": "UnauthorizedOperation", "status": 403}}}]}' >faults
mv faults "$STATE/faults.json"
# The command line tries again by itself, and not what is refused for good.
aws ec2 describe-vpcs >/dev/null
fails UnauthorizedOperation aws ec2 describe-subnets
encoded=$(sed -n 's/.*Encoded authorization failure message: //p' out)
aws sts decode-authorization-message --encoded-message "$encoded" --query DecodedMessage --output text >decoded
grep -q '"action": *"ec2:DescribeSubnets"' decoded
rm "$STATE/faults.json"

echo "terminate, clean up"
aws ec2 terminate-instances --instance-ids "$id" --skip-os-shutdown >/dev/null
aws ec2 wait instance-terminated --instance-ids "$id"
fails IncorrectInstanceState aws ec2 start-instances --instance-ids "$id"
aws ec2 deregister-image --image-id "$own" >/dev/null
aws ec2 delete-snapshot --snapshot-id "$snapshot" >/dev/null
aws s3 rb --force s3://cli-bucket >/dev/null
fails SignatureDoesNotMatch env AWS_SECRET_ACCESS_KEY=wrong aws ec2 describe-instances
echo "the aws command line went through a whole life"
