"""Drives a twin with boto3 through a whole life cycle and holds each of its answers
against botocore's own service models. Arguments: endpoint, state directory."""

import base64
import datetime
import hashlib
import json
import os
import sys
import time
import unittest.mock
import urllib.error
import urllib.request

import boto3
import botocore
import botocore.parsers
from botocore.config import Config
from botocore.exceptions import ClientError

import model

ENDPOINT, STATE = sys.argv[1:]


def client(service, **arguments):
    return model.watch(boto3.client(service, endpoint_url=ENDPOINT, **arguments))


ec2 = client("ec2", config=Config(retries={"max_attempts": 1}))
s3 = client("s3", config=Config(signature_version="s3v4"))
ebs = client("ebs")
BLOCK = 512 * 1024


def code_of(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "none"


def reads():
    types = list(ec2.get_paginator("describe_instance_types").paginate(PaginationConfig={"PageSize": 25}))
    assert sum(len(page["InstanceTypes"]) for page in types) >= 40
    metal = ec2.describe_instance_types(
        Filters=[{"Name": "bare-metal", "Values": ["true"]},
                 {"Name": "processor-info.supported-architecture", "Values": ["arm64"]}])
    assert "m7g.metal" in [t["InstanceType"] for t in metal["InstanceTypes"]]
    for call in ("describe_regions", "describe_availability_zones", "describe_vpcs",
                 "describe_subnets", "describe_security_groups", "describe_account_attributes",
                 "describe_tags", "get_instance_metadata_defaults",
                 "get_serial_console_access_status", "describe_instance_type_offerings"):
        getattr(ec2, call)()
    return official()


def official():
    images = ec2.describe_images(
        Owners=["833372943033"],
        Filters=[{"Name": "name", "Values": ["iPXE (*"]}, {"Name": "architecture", "Values": ["x86_64"]}])
    assert len(images["Images"]) == 1 and "BootMode" not in images["Images"][0]
    return images["Images"][0]["ImageId"]


def objects():
    bucket = "boto-bucket"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
    s3.put_object(Bucket=bucket, Key="a", Body=b"one", IfNoneMatch="*", ChecksumAlgorithm="SHA256")
    assert code_of(s3.put_object, Bucket=bucket, Key="a", Body=b"two", IfNoneMatch="*") == "PreconditionFailed"
    assert code_of(s3.get_object, Bucket=bucket, Key="none") == "NoSuchKey"
    assert code_of(s3.get_object, Bucket="no-such-bucket-here", Key="a") == "NoSuchBucket"
    assert code_of(s3.head_bucket, Bucket="no-such-bucket-here") == "404"
    assert s3.get_object(Bucket=bucket, Key="a", Range="bytes=1-")["Body"].read() == b"ne"
    head = s3.head_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")
    assert head["ContentLength"] == 3 and head["ChecksumSHA256"]
    assert code_of(s3.put_object, Bucket=bucket, Key="a", Body=b"x", ContentMD5=base64.b64encode(b"0" * 16).decode()) == "BadDigest"
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"one"
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]["BlockPublicPolicy"]
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"BlockPublicPolicy": True, "IgnorePublicAcls": True})
    assert code_of(s3.get_bucket_policy, Bucket=bucket) == "NoSuchBucketPolicy"
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    assert code_of(s3.put_bucket_policy, Bucket=bucket, Policy=json.dumps({"Statement": [statement]})) == "AccessDenied"
    statement["Condition"] = {"StringEquals": {"aws:SourceVpce": "vpce-1"}}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Statement": [statement]}))
    assert "vpce-1" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
    assert not s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"]
    # Nothing here comes by TLS, so a policy that demands it shuts everybody out, but not for good.
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    signed = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a"})
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    assert code_of(s3.get_object, Bucket=bucket, Key="a") == "AccessDenied"
    assert code_of(s3.put_object, Bucket=bucket, Key="b", Body=b"") == "AccessDenied"
    try:
        urllib.request.urlopen(signed)
        raise AssertionError("served by plain HTTP")
    except urllib.error.HTTPError as error:
        assert error.code == 403, error.code
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    s3.delete_bucket_policy(Bucket=bucket)
    rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert code_of(s3.get_bucket_lifecycle_configuration, Bucket=bucket) == "NoSuchLifecycleConfiguration"
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [
        {"ID": "l4re", "Status": "Enabled", "Filter": {"Prefix": "l4re/"}, "Expiration": {"Days": 30},
         "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}]})
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert rules[0]["Expiration"]["Days"] == 30 and rules[0]["Filter"]["Prefix"] == "l4re/", rules
    big = bytes(range(256)) * 4 * 10240 * 2
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    begun = s3.list_multipart_uploads(Bucket=bucket, Prefix="b")["Uploads"]
    assert [(u["Key"], u["UploadId"]) for u in begun] == [("big", upload)]
    parts = []
    for number, start in enumerate(range(0, len(big), 6 << 20), 1):
        part = s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=number, Body=big[start:start + (6 << 20)])
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(Bucket=bucket, Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == big
    listed = s3.list_objects_v2(Bucket=bucket, MaxKeys=1)
    assert listed["KeyCount"] == 1 and listed["IsTruncated"]
    sign = lambda seconds: s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a"}, ExpiresIn=seconds)
    short, signed = sign(1), sign(60)
    assert urllib.request.urlopen(signed).read() == b"one"
    for bad in (signed.replace(f"/{bucket}/a", f"/{bucket}/big"), f"{ENDPOINT}/{bucket}/a"):
        try:
            urllib.request.urlopen(bad)
            raise AssertionError("served without a right signature")
        except urllib.error.HTTPError as error:
            assert error.code == 403, error.code
    time.sleep(2.1)
    try:
        urllib.request.urlopen(short)
        raise AssertionError("served after its expiry")
    except urllib.error.HTTPError as error:
        assert error.code == 403
    assert code_of(s3.delete_bucket, Bucket=bucket) == "BucketNotEmpty"
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "big"}]})
    s3.delete_bucket(Bucket=bucket)


def boot_sector(text, before=b""):
    """Writes a text to the first serial port, and halts. What is run before is given."""
    code = bytes.fromhex("fcac84c0741288c4bafd03eca82074fbbaf80388e0eeebe9f4ebfd")
    start = bytes.fromhex("fa31c08ed8")
    place = 0x7c00 + len(start) + len(before) + 3 + len(code)
    sector = start + before + b"\xbe" + place.to_bytes(2, "little") + code + text.encode() + b"\0"
    return sector.ljust(510, b"\0") + b"\x55\xaa"


def virtualization_sector():
    """Says whether the processor has SVM (leaf 0x80000001, ECX bit 2) or VMX (1, ECX bit 5)."""
    look = "66b8010000800fa2f6c104750d66b8010000000fa2f6c1207405c606{}59"
    size = 5 + len(bytes.fromhex(look.format("0000"))) + 3 + 27
    place = 0x7c00 + size + len("hypervisor: ")
    return boot_sector("hypervisor: N.", bytes.fromhex(look.format(place.to_bytes(2, "little").hex())))


def put_block(snapshot, index, data):
    checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
    ebs.put_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockData=data,
                           DataLength=len(data), Checksum=checksum, ChecksumAlgorithm="SHA256")
    return hashlib.sha256(data).digest()


def snapshots(text):
    first = ebs.start_snapshot(VolumeSize=1, ClientToken="s", Description="a disk",
                               Tags=[{"Key": "l4re:name", "Value": "disk"}])["SnapshotId"]
    assert ebs.start_snapshot(VolumeSize=1, ClientToken="s", Description="a disk",
                              Tags=[{"Key": "l4re:name", "Value": "disk"}])["SnapshotId"] == first
    assert code_of(ebs.start_snapshot, VolumeSize=2, ClientToken="s") == "ConflictException"
    sector = boot_sector(text).ljust(BLOCK, b"\0")
    sums = put_block(first, 0, sector) + put_block(first, 2047, b"\7" * BLOCK)
    wrong = dict(SnapshotId=first, BlockIndex=1, DataLength=BLOCK, ChecksumAlgorithm="SHA256",
                 Checksum=base64.b64encode(b"0" * 32).decode())
    assert code_of(ebs.put_snapshot_block, BlockData=sector, **wrong) == "ValidationException"
    linear = base64.b64encode(hashlib.sha256(sums).digest()).decode()
    assert code_of(ec2.register_image, **registration("early", first)) == "IncorrectState"
    ebs.complete_snapshot(SnapshotId=first, ChangedBlocksCount=2, Checksum=linear,
                          ChecksumAlgorithm="SHA256", ChecksumAggregationMethod="LINEAR")
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[first])
    second = ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=first)["SnapshotId"]
    put_block(second, 5, b"\5" * BLOCK)
    ebs.complete_snapshot(SnapshotId=second, ChangedBlocksCount=1)
    listed = ebs.list_snapshot_blocks(SnapshotId=second, MaxResults=100)["Blocks"]
    assert [block["BlockIndex"] for block in listed] == [0, 5, 2047]
    got = ebs.get_snapshot_block(SnapshotId=second, BlockIndex=0, BlockToken=listed[0]["BlockToken"])
    assert got["BlockData"].read() == sector and got["ChecksumAlgorithm"] == "SHA256"
    changed = ebs.list_changed_blocks(FirstSnapshotId=first, SecondSnapshotId=second)["ChangedBlocks"]
    assert [block["BlockIndex"] for block in changed] == [5]
    mine = ec2.describe_snapshots(OwnerIds=["self"], Filters=[{"Name": "tag:l4re:name", "Values": ["d*"]}])
    assert [s["SnapshotId"] for s in mine["Snapshots"]] == [first]
    ec2.delete_snapshot(SnapshotId=second)
    assert code_of(ec2.describe_snapshots, SnapshotIds=[second]) == "InvalidSnapshot.NotFound"
    return first


def registration(name, snapshot):
    return dict(Name=name, Architecture="x86_64", VirtualizationType="hvm", EnaSupport=True,
                BootMode="legacy-bios", RootDeviceName="/dev/xvda",
                TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "l4re:name", "Value": name}]}],
                BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot, "VolumeType": "gp3"}}])


def own_images():
    """An AMI of our own boots, and its instance outlives it."""
    text = "this AMI was registered through EBS direct"
    snapshot = snapshots(text)
    image = ec2.register_image(**registration("own", snapshot))["ImageId"]
    ec2.get_waiter("image_available").wait(ImageIds=[image])
    assert code_of(ec2.register_image, **registration("own", snapshot)) == "InvalidAMIName.Duplicate"
    copy = ec2.copy_image(Name="copy", SourceImageId=image, SourceRegion=s3.meta.region_name, CopyImageTags=True)["ImageId"]
    shown = ec2.describe_images(ImageIds=[copy])["Images"][0]
    assert shown["SourceImageId"] == image and {"Key": "l4re:name", "Value": "own"} in shown["Tags"]
    one = ec2.run_instances(ImageId=copy, InstanceType="t3.nano", MinCount=1, MaxCount=1)["Instances"][0]
    assert one["RootDeviceName"] == "/dev/xvda" and one["BootMode"] == "legacy-bios"
    ec2.deregister_image(ImageId=copy, DeleteAssociatedSnapshots=True)
    assert code_of(ec2.delete_snapshot, SnapshotId=snapshot) == "InvalidSnapshot.InUse"
    ec2.deregister_image(ImageId=image)
    ec2.delete_snapshot(SnapshotId=snapshot)
    assert code_of(ec2.describe_images, ImageIds=[image]) == "InvalidAMIID.NotFound"
    says(one["InstanceId"], text)
    screen = base64.b64decode(ec2.get_console_screenshot(InstanceId=one["InstanceId"])["ImageData"])
    assert screen.startswith(b"\xff\xd8") and screen.endswith(b"\xff\xd9"), screen[:4]
    # What the firmware wrote: a black screen of this size is a third of it.
    assert len(screen) > 9000, len(screen)
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]], SkipOsShutdown=True)
    assert code_of(ec2.get_console_screenshot, InstanceId=one["InstanceId"]) == "IncorrectInstanceState"


def serial(one):
    """The switch of the serial console, and the keys that open it for a minute."""
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKNnGk9cSh1ZeKUmXpz1JwpYcJYwVdIrYXYAv8pJ3qJk boto"
    push = client("ec2-instance-connect").send_serial_console_ssh_public_key
    assert ec2.disable_serial_console_access()["SerialConsoleAccessEnabled"] is False
    assert code_of(push, InstanceId=one, SSHPublicKey=key) == "SerialConsoleAccessDisabledException"
    assert ec2.enable_serial_console_access()["SerialConsoleAccessEnabled"]
    assert push(InstanceId=one, SerialPort=0, SSHPublicKey=key)["Success"]
    assert code_of(push, InstanceId="i-0123456789abcdef0", SSHPublicKey=key) == "EC2InstanceNotFoundException"
    assert ec2.modify_instance_metadata_defaults(HttpTokens="required")["Return"]
    assert ec2.get_instance_metadata_defaults()["AccountLevel"]["HttpTokens"] == "required"
    ec2.modify_instance_metadata_defaults(HttpTokens="no-preference")


def disk_of(sector):
    """A complete snapshot with a boot sector."""
    snapshot = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    put_block(snapshot, 0, sector.ljust(BLOCK, b"\0"))
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=1)
    return snapshot


def says(instance, text):
    deadline = time.monotonic() + 240
    while text not in (said := ec2.get_console_output(InstanceId=instance, Latest=True).get("Output", "")):
        assert time.monotonic() < deadline, f"{instance} does not say '{text}' but {said!r}"
        time.sleep(0.2)


def virtualization():
    """A guest may be a hypervisor on metal and where the launch asks for it, else not."""
    image = ec2.register_image(**registration("virtualization", disk_of(virtualization_sector())))["ImageId"]
    for kind, options, can in (("c7i-flex.large", {"CpuOptions": {"NestedVirtualization": "enabled"}}, "Y"),
                               ("c7i-flex.large", {}, "N"), ("c5.metal", {}, "Y")):
        one = ec2.run_instances(ImageId=image, InstanceType=kind, MinCount=1, MaxCount=1, **options)["Instances"][0]
        assert one["CpuOptions"].get("NestedVirtualization") == options.get("CpuOptions", {}).get("NestedVirtualization")
        says(one["InstanceId"], f"hypervisor: {can}.")
        ec2.terminate_instances(InstanceIds=[one["InstanceId"]], SkipOsShutdown=True)
    ec2.deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)


def disk_sector():
    """Says what the first byte of the second disk is, and makes it the next letter."""
    code = "8ec0 8ed0 bc007c fb be297c b281 b442 cd13 720f a0007e a2{} fe06007e b80043 cd13 eb10"
    packet = "1000 0100 007e 0000 0000000000000000"
    text = "the disk says ?."
    place = 0x7c00 + 5 + 52 + 3 + 27 + text.index("?")
    before = bytes.fromhex(code.format(place.to_bytes(2, "little").hex()) + packet)
    assert len(before) == 52
    return boot_sector(text, before)


def disks():
    """A further disk has its snapshot's content, keeps what the guest writes, and outlives it."""
    image = ec2.register_image(**registration("disks", disk_of(disk_sector())))["ImageId"]
    content = disk_of(b"A")
    one = ec2.run_instances(
        ImageId=image, InstanceType="t3.nano", MinCount=1, MaxCount=1,
        BlockDeviceMappings=[{"DeviceName": "/dev/sdb", "Ebs": {"SnapshotId": content, "VolumeSize": 2}}],
    )["Instances"][0]["InstanceId"]
    # What was launched does not need its snapshot any more.
    ec2.delete_snapshot(SnapshotId=content)
    says(one, "the disk says A.")
    ec2.stop_instances(InstanceIds=[one], SkipOsShutdown=True)
    quick = {"Delay": 1, "MaxAttempts": 60}
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[one], WaiterConfig=quick)
    ec2.start_instances(InstanceIds=[one])
    says(one, "the disk says B.")
    volumes = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [one]}])["Volumes"]
    goes = {v["Attachments"][0]["Device"]: v["Attachments"][0]["DeleteOnTermination"] for v in volumes}
    assert goes == {"/dev/xvda": True, "/dev/sdb": False}, goes
    left = next(v["VolumeId"] for v in volumes if v["Attachments"][0]["Device"] == "/dev/sdb")
    ec2.terminate_instances(InstanceIds=[one], SkipOsShutdown=True)
    ec2.get_waiter("volume_available").wait(VolumeIds=[left], WaiterConfig=quick)
    with open(f"{STATE}/volumes/{left}.img", "rb") as file:
        assert file.read(1) == b"C", "what the guest wrote last is lost"
    assert code_of(ec2.describe_volumes, VolumeIds=[v["VolumeId"] for v in volumes if v["VolumeId"] != left]) == "InvalidVolume.NotFound"
    ec2.delete_volume(VolumeId=left)
    assert not os.path.exists(f"{STATE}/volumes/{left}.img")
    ec2.deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)


def around():
    """The services around EC2."""
    account = client("sts").get_caller_identity()["Account"]
    assert len(account) == 12
    products = client("pricing").get_products(ServiceCode="AmazonEC2", Filters=[
        {"Type": "TERM_MATCH", "Field": "instanceType", "Value": "m7g.metal"},
        {"Type": "TERM_MATCH", "Field": "regionCode", "Value": s3.meta.region_name}])
    assert "\"USD\"" in products["PriceList"][0]
    # The list is served in few regions, for all.
    client("pricing", region_name="us-east-1").get_products(ServiceCode="AmazonEC2", MaxResults=2)
    spot = ec2.describe_spot_price_history(InstanceTypes=["t3.nano"], ProductDescriptions=["Linux/UNIX"], MaxResults=2)
    assert 0 < float(spot["SpotPriceHistory"][0]["SpotPrice"]) < 0.0052 and spot["NextToken"]
    one = ec2.run_instances(ImageId=official(), InstanceType="t3.nano", MinCount=1, MaxCount=1,
                            InstanceMarketOptions={"MarketType": "spot"},
                            TagSpecifications=[{"ResourceType": "spot-instances-request", "Tags": [{"Key": "l4re:name", "Value": "s"}]}])["Instances"][0]
    request = one["SpotInstanceRequestId"]
    volume = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [one["InstanceId"]]}])["Volumes"][0]
    assert volume["State"] == "in-use" and code_of(ec2.delete_volume, VolumeId=volume["VolumeId"]) == "VolumeInUse"
    tagged = ec2.describe_spot_instance_requests(Filters=[{"Name": "tag:l4re:name", "Values": ["s"]}])
    assert [r["State"] for r in tagged["SpotInstanceRequests"]] == ["active"]
    assert code_of(ec2.stop_instances, InstanceIds=[one["InstanceId"]]) == "UnsupportedOperation"
    ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[request])
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]], SkipOsShutdown=True)
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[one["InstanceId"]], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    assert ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[request])["SpotInstanceRequests"][0]["State"] == "cancelled"
    assert code_of(ec2.describe_volumes, VolumeIds=[volume["VolumeId"]]) == "InvalidVolume.NotFound"
    disks = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 2}},
             {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 3, "DeleteOnTermination": False}}]
    one = ec2.run_instances(ImageId=official(), InstanceType="t3.nano", MinCount=1, MaxCount=1, BlockDeviceMappings=disks)["Instances"][0]["InstanceId"]
    mapped = ec2.describe_instance_attribute(InstanceId=one, Attribute="blockDeviceMapping")["BlockDeviceMappings"]
    assert [(m["DeviceName"], m["Ebs"]["DeleteOnTermination"]) for m in mapped] == [("/dev/sda1", True), ("/dev/sdb", False)]
    left = mapped[1]["Ebs"]["VolumeId"]
    ec2.get_waiter("volume_in_use").wait(VolumeIds=[left])
    ec2.terminate_instances(InstanceIds=[one], SkipOsShutdown=True)
    ec2.get_waiter("volume_available").wait(VolumeIds=[left], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    assert [v["Size"] for v in ec2.describe_volumes(VolumeIds=[left])["Volumes"]] == [3]
    ec2.delete_volume(VolumeId=left)
    ec2.get_waiter("volume_deleted").wait(VolumeIds=[left])
    quotas = client("service-quotas")
    assert len(quotas.list_service_quotas(ServiceCode="ec2", MaxResults=2)["Quotas"]) == 2
    standard = dict(ServiceCode="ec2", QuotaCode="L-1216C47A")
    before = quotas.get_service_quota(**standard)["Quota"]["Value"]
    quotas.request_service_quota_increase(DesiredValue=1, **standard)
    launch = dict(ImageId=official(), InstanceType="m5.metal", MinCount=1, MaxCount=1)
    assert code_of(ec2.run_instances, **launch) == "VcpuLimitExceeded"
    quotas.request_service_quota_increase(DesiredValue=before, **standard)
    assert code_of(quotas.get_service_quota, ServiceCode="ec2", QuotaCode="L-0") == "NoSuchResourceException"


def schedules(image):
    """A schedule of EventBridge terminates an instance at its time."""
    scheduler = client("scheduler")
    one = ec2.run_instances(ImageId=image, InstanceType="t3.nano", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    # The waiter for its end takes one that is pending for one that never ends.
    ec2.get_waiter("instance_running").wait(InstanceIds=[one], WaiterConfig={"Delay": 1, "MaxAttempts": 60})

    def at(seconds):
        return time.strftime("at(%Y-%m-%dT%H:%M:%S)", time.gmtime(time.time() + seconds))

    request = dict(Name=f"l4re-{one}", FlexibleTimeWindow={"Mode": "OFF"}, ActionAfterCompletion="DELETE",
                   Target={"Arn": "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances",
                           "RoleArn": "arn:aws:iam::111122223333:role/expiry",
                           "Input": json.dumps({"InstanceIds": [one]})})
    assert scheduler.create_schedule(ScheduleExpression=at(3600), **request)["ScheduleArn"].endswith(one)
    assert code_of(scheduler.create_schedule, ScheduleExpression=at(3600), **request) == "ConflictException"
    assert [s["Name"] for s in scheduler.list_schedules(NamePrefix="l4re-")["Schedules"]] == [f"l4re-{one}"]
    # Later than the next call, on a busy machine too.
    scheduler.update_schedule(ScheduleExpression=at(6), **request)
    assert scheduler.get_schedule(Name=f"l4re-{one}")["State"] == "ENABLED"
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[one], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    assert code_of(scheduler.delete_schedule, Name=f"l4re-{one}") == "ResourceNotFoundException"


def life(image):
    arguments = dict(
        ImageId=image, InstanceType="t3.nano", MinCount=1, MaxCount=1, ClientToken="boto",
        UserData="#!ipxe\necho from boto\n",
        MetadataOptions={"HttpTokens": "optional"},
        TagSpecifications=[{"ResourceType": kind, "Tags": [{"Key": "l4re:name", "Value": "boto"}]}
                           for kind in ("instance", "volume", "network-interface")])
    assert code_of(ec2.run_instances, DryRun=True, **arguments) == "DryRunOperation"
    one = ec2.run_instances(**arguments)["Instances"][0]["InstanceId"]
    assert ec2.run_instances(**arguments)["Instances"][0]["InstanceId"] == one
    quick = {"Delay": 1, "MaxAttempts": 60}
    ec2.get_waiter("instance_running").wait(InstanceIds=[one], WaiterConfig=quick)
    ec2.get_waiter("instance_status_ok").wait(InstanceIds=[one], WaiterConfig=quick)
    serial(one)
    found = ec2.describe_instances(Filters=[{"Name": "tag:l4re:name", "Values": ["boto"]}])
    assert [r["Instances"][0]["InstanceId"] for r in found["Reservations"]] == [one]
    ec2.get_console_output(InstanceId=one, Latest=True)
    assert code_of(ec2.describe_instances, InstanceIds=[one], MaxResults=5) == "InvalidParameterCombination"
    ec2.modify_instance_metadata_options(InstanceId=one, HttpTokens="required")
    data = b"#!ipxe\necho changed\n"
    assert code_of(ec2.modify_instance_attribute, InstanceId=one, UserData={"Value": data}) == "IncorrectInstanceState"
    ec2.stop_instances(InstanceIds=[one], Force=True, SkipOsShutdown=True)
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[one], WaiterConfig=quick)
    ec2.modify_instance_attribute(InstanceId=one, UserData={"Value": data})
    shown = ec2.describe_instance_attribute(InstanceId=one, Attribute="userData")
    assert base64.b64decode(shown["UserData"]["Value"]) == data
    ec2.start_instances(InstanceIds=[one])
    ec2.get_waiter("instance_running").wait(InstanceIds=[one], WaiterConfig=quick)
    ec2.reboot_instances(InstanceIds=[one])
    ec2.create_tags(Resources=[one], Tags=[{"Key": "more", "Value": "x"}])
    ec2.delete_tags(Resources=[one], Tags=[{"Key": "more"}])
    ec2.terminate_instances(InstanceIds=[one], Force=True, SkipOsShutdown=True)
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[one], WaiterConfig=quick)
    assert code_of(ec2.start_instances, InstanceIds=[one]) == "IncorrectInstanceState"


def plan(*rules):
    with open(f"{STATE}/faults.new", "w") as file:
        json.dump({"seed": 1, "rules": list(rules)}, file)
    os.rename(f"{STATE}/faults.new", f"{STATE}/faults.json")


def rule(on, effect, **when):
    return {"on": on, "effect": effect, **when}


def faults(image):
    patient = client("ec2")
    arguments = dict(ImageId=image, InstanceType="t3.nano", MinCount=1, MaxCount=1)
    # Botocore's own token makes the repeated call find what the lost one made.
    plan(rule("RunInstances", "lost-answer", at_call=1),
         rule("DescribeInstances", {"error": {"code": "RequestLimitExceeded", "status": 503}}, times=1),
         rule("TerminateInstances", "reset", times=1))
    before = len(ec2.describe_tags()["Tags"])
    one = patient.run_instances(**arguments, TagSpecifications=[
        {"ResourceType": "instance", "Tags": [{"Key": "l4re:name", "Value": "lost"}]}])["Instances"][0]["InstanceId"]
    assert len(ec2.describe_tags()["Tags"]) == before + 1, "the repeated call made a second one"
    patient.describe_instances(InstanceIds=[one])
    patient.terminate_instances(InstanceIds=[one], SkipOsShutdown=True)
    plan(rule("RunInstances", {"error": {"code": "InsufficientInstanceCapacity", "status": 500}},
              zone=f"{s3.meta.region_name}a"))
    here = lambda letter: {"AvailabilityZone": f"{s3.meta.region_name}{letter}"}
    assert code_of(ec2.run_instances, Placement=here("a"), **arguments) == "InsufficientInstanceCapacity"
    two = ec2.run_instances(Placement=here("b"), **arguments)["Instances"][0]["InstanceId"]
    ec2.terminate_instances(InstanceIds=[two], SkipOsShutdown=True)
    plan(rule("StopInstances", {"error": {"code": "UnauthorizedOperation", "status": 403}}))
    try:
        ec2.stop_instances(InstanceIds=[two])
        raise AssertionError("not refused")
    except ClientError as error:
        encoded = error.response["Error"]["Message"].rsplit(" ", 1)[1]
    decoded = client("sts").decode_authorization_message(EncodedMessage=encoded)["DecodedMessage"]
    assert json.loads(decoded)["context"]["action"] == "ec2:StopInstances"
    plan(rule("DescribeRegions", {"delay": {"milliseconds": 300}}), rule("DescribeVpcs", {"truncate": {"bytes": 60}}))
    start = time.monotonic()
    ec2.describe_regions()
    assert time.monotonic() - start >= 0.3
    try:
        ec2.describe_vpcs()
        raise AssertionError("a truncated answer was taken for whole")
    # By its length or by what its XML lacks, as urllib3 has it.
    except (botocore.exceptions.BotoCoreError, botocore.parsers.ResponseParserError):
        pass
    plan()


def refused():
    """Wrong, foreign and old signatures, on every service."""
    hour_ago = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - datetime.timedelta(hours=1)
    for secret in ("account.json", "twin.json", "guest.json"):
        assert os.stat(f"{STATE}/{secret}").st_mode & 0o777 == 0o600, secret
    key = boto3.Session().get_credentials().access_key
    calls = [("ec2", "describe_instances", {}, "SignatureDoesNotMatch", "AuthFailure"),
             ("sts", "get_caller_identity", {}, "SignatureDoesNotMatch", "InvalidClientTokenId"),
             ("s3", "list_buckets", {}, "SignatureDoesNotMatch", "InvalidAccessKeyId"),
             ("ebs", "list_snapshot_blocks", {"SnapshotId": "snap-0"}, "InvalidSignatureException", "UnrecognizedClientException"),
             ("scheduler", "list_schedules", {}, "InvalidSignatureException", "UnrecognizedClientException"),
             ("pricing", "get_products", {"ServiceCode": "AmazonEC2"}, "InvalidSignatureException", "UnrecognizedClientException"),
             ("service-quotas", "list_service_quotas", {"ServiceCode": "ec2"}, "InvalidSignatureException", "UnrecognizedClientException"),
             ("ec2-instance-connect", "send_serial_console_ssh_public_key",
              {"InstanceId": "i-0123456789abcdef0", "SSHPublicKey": "x" * 80}, "InvalidSignatureException", "UnrecognizedClientException")]
    for service, call, arguments, wrong, foreign in calls:
        bad = client(service, aws_access_key_id=key, aws_secret_access_key="wrong")
        assert code_of(getattr(bad, call), **arguments) == wrong, (service, code_of(getattr(bad, call), **arguments))
        stranger = client(service, aws_access_key_id="AKIAAAAAAAAAAAAAAAAA", aws_secret_access_key="wrong")
        assert code_of(getattr(stranger, call), **arguments) == foreign, (service, code_of(getattr(stranger, call), **arguments))
        # A quarter of an hour is too late, and nobody's clock is that wrong.
        with unittest.mock.patch("botocore.auth.get_current_datetime", lambda *_: hour_ago):
            late = code_of(getattr(client(service), call), **arguments)
        assert late in ("RequestExpired", "RequestTimeTooSkewed", "InvalidSignatureException", "AccessDenied"), (service, late)
        # Without a scope the twin cannot tell all services apart: its refusal is one's of them.
        nobody = boto3.client(service, endpoint_url=ENDPOINT, config=Config(signature_version=botocore.UNSIGNED))
        assert code_of(getattr(nobody, call), **arguments) not in ("none", ""), service


image = reads()
objects()
life(image)
own_images()
virtualization()
disks()
around()
schedules(image)
faults(image)
refused()
assert not model.unknown, sorted(set(model.unknown))
# All that the twin promises to answer was asked, and answered at least once.
promised = {f"ec2:{action}" for action in """RunInstances StartInstances StopInstances RebootInstances
    TerminateInstances DescribeInstances DescribeInstanceStatus DescribeInstanceTypes
    DescribeInstanceTypeOfferings DescribeImages RegisterImage DeregisterImage CopyImage
    DescribeSnapshots DeleteSnapshot CreateTags DeleteTags DescribeTags DescribeRegions
    DescribeAvailabilityZones DescribeSubnets DescribeVpcs DescribeSecurityGroups DescribeVolumes
    DeleteVolume ModifyInstanceAttribute DescribeInstanceAttribute ModifyInstanceMetadataOptions
    GetInstanceMetadataDefaults ModifyInstanceMetadataDefaults GetConsoleOutput GetConsoleScreenshot
    GetSerialConsoleAccessStatus EnableSerialConsoleAccess DisableSerialConsoleAccess
    DescribeSpotPriceHistory DescribeSpotInstanceRequests CancelSpotInstanceRequests
    DescribeAccountAttributes""".split()}
promised |= {"sts:GetCallerIdentity", "sts:DecodeAuthorizationMessage",
             "ec2-instance-connect:SendSerialConsoleSSHPublicKey"}
assert promised <= model.answered, sorted(promised - model.answered)
print("botocore", botocore.__version__, "knows every element of", len(model.seen), "calls")
