"""Asks a twin for what EC2 and S3 refuse, or answer in a way of their own, and holds code, HTTP
status and message against theirs. Nothing boots. Arguments: endpoint, state directory."""

import datetime
import os
import re
import sys
import time
import urllib.error
import urllib.request

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT, STATE = sys.argv[1:]
# The twin's own table says what it answers.
with open(os.path.join(os.path.dirname(__file__), "../../src/ec2/actions.rs")) as table:
    ACTIONS = table.read()
ODD = {"retries": {"max_attempts": 1}, "parameter_validation": False}
ec2 = boto3.client("ec2", config=Config(**ODD))
s3 = boto3.client("s3", config=Config(signature_version="s3v4", **ODD))
BIOS, ARM = "ami-0172e86000000b105", "ami-0172ea64000000ef1"
NONE = "0123456789abcdef0"
INVALID, COMBINATION = "InvalidParameterValue", "InvalidParameterCombination"
failures = []
count = 0


def refused(call, code, text, status=400, **arguments):
    """The call is refused with this code, this status and a message that has this text."""
    global count
    count += 1
    try:
        call(**arguments)
        got = (200, "none", "")
    except ClientError as error:
        said = error.response["Error"]
        got = (error.response["ResponseMetadata"]["HTTPStatusCode"], said.get("Code"), said.get("Message", ""))
    if got[:2] != (status, code) or text not in got[2]:
        failures.append(f"{call.__name__}({arguments}): {got}, not {(status, code, text)}")


def dry(call, **arguments):
    refused(call, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412, DryRun=True, **arguments)


def describes():
    pages = "instances instance_status instance_types instance_type_offerings images snapshots tags subnets vpcs security_groups volumes spot_price_history spot_instance_requests".split()
    for name in pages + ["regions", "availability_zones"]:
        call = getattr(ec2, f"describe_{name}")
        refused(call, INVALID, "The filter 'colour' is invalid", Filters=[{"Name": "colour", "Values": ["x"]}])
        dry(call)
    documented()
    token = ec2.describe_instance_types(MaxResults=5)["NextToken"]
    assert len(ec2.describe_instance_types(MaxResults=7, NextToken=token)["InstanceTypes"]) == 7
    metal = [{"Name": "bare-metal", "Values": ["true"]}]
    refused(ec2.describe_instance_types, "InvalidNextToken", "is invalid", NextToken=token, Filters=metal)
    for name in pages:
        call = getattr(ec2, f"describe_{name}")
        refused(call, INVALID, "for parameter maxResults is invalid. Expecting a value greater than", MaxResults=0)
        refused(call, INVALID, "for parameter maxResults is invalid. Expecting a value less than", MaxResults=5000)
        if name != "instance_types":
            refused(call, "InvalidNextToken", "is invalid", NextToken=token)
        refused(call, "InvalidNextToken", "The token 'x' is invalid.", NextToken="x")
    for call, name, prefix, malformed, missing in (
        (ec2.describe_instances, "InstanceIds", "i-", "InvalidInstanceID.Malformed", "InvalidInstanceID.NotFound"),
        (ec2.describe_images, "ImageIds", "ami-", "InvalidAMIID.Malformed", "InvalidAMIID.NotFound"),
        (ec2.describe_snapshots, "SnapshotIds", "snap-", "InvalidSnapshotID.Malformed", "InvalidSnapshot.NotFound"),
        (ec2.describe_security_groups, "GroupIds", "sg-", "InvalidGroupId.Malformed", "InvalidGroup.NotFound"),
        (ec2.describe_volumes, "VolumeIds", "vol-", INVALID, "InvalidVolume.NotFound"),
        (ec2.describe_subnets, "SubnetIds", "subnet-", "InvalidSubnetID.NotFound", "InvalidSubnetID.NotFound"),
        (ec2.describe_vpcs, "VpcIds", "vpc-", "InvalidVpcID.NotFound", "InvalidVpcID.NotFound"),
    ):
        refused(call, malformed, "foo", **{name: ["foo"]})
        refused(call, missing, f"{prefix}{NONE}", **{name: [prefix + NONE]})
    refused(ec2.describe_images, "InvalidUserID.Malformed", "nobody", Owners=["nobody"])
    refused(ec2.describe_availability_zones, INVALID, "Invalid availability zone: [x]", ZoneIds=["x"])
    refused(ec2.describe_account_attributes, INVALID, "attributeName", AttributeNames=["x"])
    refused(ec2.describe_regions, INVALID, "Invalid region provided: x", RegionNames=["x"])


def documented():
    """Each filter that EC2 documents is known, whether anything has what it looks at or not."""
    for name in ec2.meta.service_model.operation_names:
        shape = ec2.meta.service_model.operation_model(name).input_shape
        if not name.startswith("Describe") or f'("{name}"' not in ACTIONS or "Filters" not in shape.members:
            continue
        call = getattr(ec2, botocore.xform_name(name))
        for found in re.findall(r"<li>\s*<p>\s*<code>([^<]+)</code>", shape.members["Filters"].documentation):
            # What is in such a list and no filter: a filter's values.
            if found in ("critical", "high", "medium", "low", "informational"):
                continue
            key = "tag:x" if found.startswith("tag") and found not in ("tag-key", "tag-value") else found
            try:
                call(Filters=[{"Name": key, "Values": ["nothing"]}])
            except ClientError as error:
                failures.append(f"{name}, {found}: {error}")
    none = [{"Name": "tag:Name", "Values": ["*"]}]
    assert ec2.describe_tags(Filters=none)["Tags"] == []
    assert [tag["Key"] for tag in ec2.describe_tags(Filters=[{"Name": "tag:l4re:role", "Values": ["ipxe"]}])["Tags"]] == ["l4re:role"]
    assert {region["OptInStatus"] for region in ec2.describe_regions(AllRegions=True)["Regions"]} == {"opt-in-not-required", "not-opted-in"}
    assert all(image["Public"] for image in ec2.describe_images(ExecutableUsers=["all"])["Images"])
    assert not ec2.describe_images(ExecutableUsers=["self"])["Images"]


def launches():
    base = dict(ImageId=BIOS, InstanceType="t3.nano", MinCount=1, MaxCount=1)
    dry(ec2.run_instances, **base)
    dry(ec2.run_instances, ImageId=BIOS, MinCount=1, MaxCount=1)  # m1.small
    dry(ec2.run_instances, UserData="x" * 16384, **base)

    def tags(*pairs, kind="instance"):
        return {"TagSpecifications": [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in pairs]}]}

    def disk(**ebs):
        return {"BlockDeviceMappings": [{"DeviceName": "/dev/sdb", "Ebs": ebs}]}

    def spot(**options):
        return {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": options}}

    def card(**more):
        return {"NetworkInterfaces": [{"DeviceIndex": 0, **more}]}

    unplayed = "UnsupportedOperation"
    for code, text, change in (
        (INVALID, "Minimum instance count must be greater than zero", {"MinCount": 0}),
        (INVALID, "maximum instance count", {"MinCount": 3, "MaxCount": 2}),
        ("InstanceLimitExceeded", "You have requested more instances (21)", {"MinCount": 21, "MaxCount": 21}),
        (INVALID, "Invalid value 'x.y' for InstanceType.", {"InstanceType": "x.y"}),
        (INVALID, "does not match the architecture", {"InstanceType": "t4g.nano"}),
        ("InvalidAMIID.NotFound", f"The image id '[ami-{NONE}]' does not exist", {"ImageId": f"ami-{NONE}"}),
        ("InvalidAMIID.Malformed", 'Invalid id: "foo" (expecting "ami-...")', {"ImageId": "foo"}),
        ("InvalidSubnetID.NotFound", "The subnet ID 'subnet-1' does not exist", {"SubnetId": "subnet-1"}),
        ("InvalidGroup.NotFound", f"The security group 'sg-{NONE}' does not exist", {"SecurityGroupIds": [f"sg-{NONE}"]}),
        ("InvalidGroupId.Malformed", 'Invalid id: "x" (expecting "sg-...")', {"SecurityGroupIds": ["x"]}),
        ("InvalidGroup.NotFound", "does not exist in default VPC 'vpc-", {"SecurityGroups": ["x"]}),
        ("InvalidKeyPair.NotFound", "The key pair 'x' does not exist", {"KeyName": "x"}),
        (INVALID, "Invalid availability zone: [x]", {"Placement": {"AvailabilityZone": "x"}}),
        (INVALID, "Client token", {"ClientToken": "x" * 65}),
        (INVALID, "User data is limited to 16384 bytes", {"UserData": "x" * 16385}),
        (INVALID, "Tag key exceeds the maximum length", tags(("k" * 128, ""))),
        (INVALID, "Tag value exceeds the maximum length of 256 characters", tags(("k", "v" * 257))),
        (INVALID, "Tag keys starting with 'aws:' are reserved for internal use", tags(("AWS:k", ""))),
        (INVALID, "Duplicate tag key 'k' specified.", tags(("k", ""), ("k", ""))),
        (INVALID, "'vpc' is not a valid taggable resource type for this operation.", tags(("k", ""), kind="vpc")),
        (INVALID, "at least one tag", tags()),
        ("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.", tags(*((f"k{n}", "") for n in range(51)))),
        ("UnsupportedHibernationConfiguration", "", {"HibernationOptions": {"Configured": True}}),
        (unplayed, "enclaves", {"EnclaveOptions": {"Enabled": True}}),
        (unplayed, "dedicated", {"Placement": {"Tenancy": "dedicated"}}),
        (unplayed, "placement groups", {"Placement": {"GroupName": "x"}}),
        (unplayed, "IPv6", {"Ipv6AddressCount": 1}),
        (unplayed, "private addresses", {"PrivateIpAddress": "172.31.0.9"}),
        (unplayed, "second network interfaces", {"NetworkInterfaces": [{"DeviceIndex": 0}, {"DeviceIndex": 1}]}),
        ("InvalidNetworkInterfaceID.NotFound", "does not exist", card(NetworkInterfaceId=f"eni-{NONE}")),
        (COMBINATION, "instance-level subnet ID", {"SubnetId": "subnet-1", **card()}),
        (COMBINATION, "CPU options", {"CpuOptions": {"CoreCount": 7, "ThreadsPerCore": 1}}),
        (COMBINATION, "together", {"CpuOptions": {"CoreCount": 1}}),
        (COMBINATION, "Nested virtualization is not supported", {"CpuOptions": {"NestedVirtualization": "enabled"}}),
        (INVALID, "HttpPutResponseHopLimit", {"MetadataOptions": {"HttpPutResponseHopLimit": 65}}),
        (unplayed, "IPv4 only", {"MetadataOptions": {"HttpProtocolIpv6": "enabled"}}),
        (INVALID, "Invalid market type", {"InstanceMarketOptions": {"MarketType": "x"}}),
        (INVALID, "spot instance type", spot(SpotInstanceType="x")),
        (COMBINATION, "persistent Spot", spot(InstanceInterruptionBehavior="stop")),
        ("SpotMaxPriceTooLow", "is lower than the minimum required Spot request fulfillment price of", spot(MaxPrice="0.0001")),
        (INVALID, "Volume type 'x' is invalid.", disk(VolumeSize=1, VolumeType="x")),
        (INVALID, "Volume of 4GiB is too small for volume type st1; minimum is 125GiB.", disk(VolumeSize=4, VolumeType="st1")),
        (INVALID, "Volume of 70000GiB is too large for volume type gp2; maximum is 16384GiB.", disk(VolumeSize=70000)),
        (COMBINATION, "The parameter iops is not supported for gp2 volumes.", disk(VolumeSize=1, VolumeType="gp2", Iops=100)),
        ("MissingParameter", "iops", disk(VolumeSize=4, VolumeType="io1")),
        ("InvalidSnapshot.NotFound", "does not exist", disk(SnapshotId=f"snap-{NONE}")),
    ):
        refused(ec2.run_instances, code, text, **{**base, **change})
    assert not ec2.describe_instances()["Reservations"]


def missing():
    for call in (ec2.start_instances, ec2.stop_instances, ec2.reboot_instances, ec2.terminate_instances):
        refused(call, "MissingParameter", "InstanceId", InstanceIds=[])
        refused(call, "InvalidInstanceID.Malformed", 'Invalid id: "foo"', InstanceIds=["foo"])
        refused(call, "InvalidInstanceID.NotFound", f"The instance ID 'i-{NONE}' does not exist", InstanceIds=[f"i-{NONE}"])
    for call, more in (
        (ec2.get_console_output, {}),
        (ec2.get_console_screenshot, {}),
        (ec2.describe_instance_attribute, {"Attribute": "userData"}),
        (ec2.modify_instance_attribute, {"DisableApiStop": {"Value": True}}),
        (ec2.modify_instance_metadata_options, {"HttpTokens": "required"}),
    ):
        refused(call, "InvalidInstanceID.NotFound", "does not exist", InstanceId=f"i-{NONE}", **more)
        dry(call, InstanceId=f"i-{NONE}", **more)
    tag = [{"Key": "k", "Value": "v"}]
    refused(ec2.create_tags, "InvalidID", "The ID 'foo' is not valid", Resources=["foo"], Tags=tag)
    refused(ec2.create_tags, "InvalidInstanceID.NotFound", "", Resources=[f"i-{NONE}"], Tags=tag)
    refused(ec2.create_tags, "MissingParameter", "", Resources=[BIOS], Tags=[])
    refused(ec2.deregister_image, "AuthFailure", "Not authorized for image:", 403, ImageId=BIOS)
    refused(ec2.delete_snapshot, "InvalidSnapshot.NotFound", "", SnapshotId=f"snap-{NONE}")
    refused(ec2.delete_volume, "InvalidVolume.NotFound", "", VolumeId=f"vol-{NONE}")
    own = dict(Architecture="x86_64", VirtualizationType="hvm", RootDeviceName="/dev/xvda")
    refused(ec2.register_image, "InvalidAMIName.Malformed", "AMI names must be between 3 and 128", Name="a#b", **own)
    refused(ec2.register_image, "InvalidBlockDeviceMapping", "has no snapshot", Name="abc", **own)
    copy = dict(Name="abc", SourceImageId=BIOS, SourceRegion="eu-central-1")
    refused(ec2.copy_image, "UnsupportedOperation", "encrypts", Encrypted=True, **copy)


def attributes():
    """Of instances whose script boots nothing, so that no QEMU runs."""
    one = ec2.run_instances(ImageId=ARM, InstanceType="t4g.nano", MinCount=2, MaxCount=2, ClientToken="odd", UserData="#!ipxe\nexit\n")
    one, two = (instance["InstanceId"] for instance in one["Instances"])
    refused(ec2.run_instances, "IdempotentParameterMismatch", "Arguments on this idempotent request are inconsistent", ImageId=ARM,
            InstanceType="t4g.nano", MinCount=1, MaxCount=2, ClientToken="odd")
    change = ec2.modify_instance_attribute
    quick = {"Delay": 1, "MaxAttempts": 60}
    ec2.get_waiter("instance_running").wait(InstanceIds=[one, two], WaiterConfig=quick)
    at_rest = dict(UserData={"Value": b"x"}), dict(InstanceType={"Value": "t4g.micro"}), dict(EbsOptimized={"Value": True}), dict(EnaSupport={"Value": True})
    for attribute in at_rest:
        refused(change, "IncorrectInstanceState", f"The instance '{one}' is not in the 'stopped' state.", InstanceId=one, **attribute)
    refused(change, INVALID, "Unknown attribute", InstanceId=one, Attribute="x", Value="y")
    refused(change, INVALID, "boolean", InstanceId=one, Attribute="disableApiTermination", Value="x")
    refused(change, COMBINATION, "No attributes specified.", InstanceId=one)
    refused(change, COMBINATION, "Fields for multiple attribute types specified: disableApiTermination, disableApiStop", InstanceId=one,
            DisableApiStop={"Value": True}, DisableApiTermination={"Value": True})
    refused(change, "InvalidGroup.NotFound", "", InstanceId=one, Groups=[f"sg-{NONE}"])
    refused(change, "UnsupportedOperation", "kernel", InstanceId=one, Kernel={"Value": "aki-1"})
    change(InstanceId=one, SourceDestCheck={"Value": False})
    shown = ec2.describe_instance_attribute(InstanceId=one, Attribute="sourceDestCheck")
    assert shown["SourceDestCheck"]["Value"] is False, shown
    groups = ec2.describe_instance_attribute(InstanceId=one, Attribute="groupSet")["Groups"]
    change(InstanceId=one, Groups=[group["GroupId"] for group in groups])
    change(InstanceId=one, DisableApiStop={"Value": True})
    refused(ec2.stop_instances, "OperationNotPermitted", "Modify its 'disableApiStop' instance attribute and try again.", InstanceIds=[one])
    change(InstanceId=one, DisableApiStop={"Value": False})
    refused(ec2.stop_instances, "UnsupportedHibernationConfiguration", "was not configured at launch for hibernation", InstanceIds=[one], Hibernate=True)
    # Nothing is done where not all can be.
    refused(ec2.stop_instances, "InvalidInstanceID.NotFound", "", InstanceIds=[one, f"i-{NONE}"])
    assert ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"][0]["State"]["Name"] == "running"
    ec2.stop_instances(InstanceIds=[one], SkipOsShutdown=True)
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[one], WaiterConfig=quick)
    refused(ec2.reboot_instances, "IncorrectInstanceState", "not in a state from which it can be rebooted.", InstanceIds=[one])
    for attribute in at_rest:
        change(InstanceId=one, **attribute)
    refused(change, INVALID, "does not fit", InstanceId=one, InstanceType={"Value": "t3.nano"})
    tag = lambda *keys: ec2.create_tags(Resources=[two], Tags=[{"Key": str(key), "Value": ""} for key in keys])
    tag(*range(50))
    tag(49)
    try:
        tag("one more")
        failures.append("51 tags")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "TagLimitExceeded", error
    ec2.terminate_instances(InstanceIds=[one, two], SkipOsShutdown=True)
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[one, two], WaiterConfig=quick)
    refused(ec2.stop_instances, "IncorrectInstanceState", f"This instance '{one}' is not in a state from which it can be stopped.", InstanceIds=[one])
    refused(change, "IncorrectInstanceState", "", InstanceId=one, DisableApiStop={"Value": True})


def status_of(url, method="GET", data=None):
    try:
        return urllib.request.urlopen(urllib.request.Request(url, method=method, data=data)).status, ""
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


KEYS = ["a", "a/b", "a//b", "ünïcødé/日本", "../up", "..", "./x", "/lead", "sp ace", "plus+plus", "100%", "%2F", "q?x=1&y=2", "#hash",
        "tab\there", "new\nline", "x" * 1024, "trailing/", "'\"<>&", "\U0001f600", "\x01", "back\\slash"]


def names(bucket):
    here = {"LocationConstraint": s3.meta.region_name}
    for name in ("ab", "UPPER", "a..b", "-abc", "abc-", "1.2.3.4", "x" * 64, "xn--abc", "abc-s3alias"):
        refused(s3.create_bucket, "InvalidBucketName", "The specified bucket is not valid.", Bucket=name, CreateBucketConfiguration=here)
    refused(s3.create_bucket, "IllegalLocationConstraintException", "incompatible", Bucket=bucket)
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=here)
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode(), key
    refused(s3.put_object, "KeyTooLongError", "Your key is too long", Bucket=bucket, Key="x" * 1025, Body=b"")
    for call in ("list_objects", "list_objects_v2"):
        for delimiter in ({}, {"Delimiter": "/"}):
            found = []
            for page in s3.get_paginator(call).paginate(Bucket=bucket, PaginationConfig={"PageSize": 3}, **delimiter):
                found += [one["Key"] for one in page.get("Contents", [])] + [one["Prefix"] for one in page.get("CommonPrefixes", [])]
            wanted = {key[:key.index("/") + 1] if delimiter and "/" in key else key for key in KEYS}
            assert sorted(found) == sorted(wanted), (call, delimiter, set(found) ^ wanted)
    refused(s3.list_objects_v2, "InvalidArgument", "continuation token", Bucket=bucket, ContinuationToken="?")
    refused(s3.list_objects_v2, "InvalidArgument", "", Bucket=bucket, MaxKeys=-1)


def reading(bucket):
    place = dict(Bucket=bucket, Key="r")
    expires = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
    s3.put_object(Body=b"0123456789", Expires=expires, CacheControl="c", **place)
    head = s3.head_object(**place)
    assert head["ContentType"] == "binary/octet-stream" and head["ServerSideEncryption"] == "AES256", head
    assert head["CacheControl"] == "c" and head["Expires"] == expires, head
    for asked, got in {"0-0": b"0", "5-": b"56789", "-3": b"789", "0-100": b"0123456789"}.items():
        part = s3.get_object(Range=f"bytes={asked}", **place)
        assert part["Body"].read() == got and part["ResponseMetadata"]["HTTPStatusCode"] == 206, asked
    for asked in ("10-", "20-30", "-0"):
        refused(s3.get_object, "InvalidRange", "The requested range is not satisfiable", 416, Range=f"bytes={asked}", **place)
    changed, before = head["LastModified"], head["LastModified"] - datetime.timedelta(days=1)
    s3.get_object(IfMatch=head["ETag"], IfUnmodifiedSince=before, **place)
    s3.get_object(IfModifiedSince=before, **place)
    refused(s3.get_object, "PreconditionFailed", "At least one of the pre-conditions", 412, IfMatch='"x"', **place)
    refused(s3.get_object, "PreconditionFailed", "", 412, IfUnmodifiedSince=before, **place)
    refused(s3.get_object, "304", "", 304, IfNoneMatch=head["ETag"], **place)
    refused(s3.get_object, "304", "", 304, IfModifiedSince=changed, **place)
    assert s3.get_object(ResponseContentType="x/y", **place)["ContentType"] == "x/y"
    refused(s3.get_object, "InvalidArgument", "Invalid version id specified", VersionId="1", **place)
    assert not s3.get_bucket_versioning(Bucket=bucket).get("Status")
    refused(s3.put_bucket_versioning, "NotImplemented", "no versioning", 501, Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def untold(bucket):
    """What a bucket was never told, and what clients that describe or empty buckets ask."""
    for call, code in (
        (s3.get_bucket_cors, "NoSuchCORSConfiguration"),
        (s3.get_bucket_tagging, "NoSuchTagSet"),
        (s3.get_bucket_website, "NoSuchWebsiteConfiguration"),
        (s3.get_bucket_replication, "ReplicationConfigurationNotFoundError"),
        (s3.get_object_lock_configuration, "ObjectLockConfigurationNotFoundError"),
    ):
        refused(call, code, "", 404, Bucket=bucket)
        refused(call, "NoSuchBucket", "", 404, Bucket="no-such-bucket")
    for call in (s3.get_bucket_logging, s3.get_bucket_notification_configuration, s3.get_bucket_accelerate_configuration):
        assert set(call(Bucket=bucket)) == {"ResponseMetadata"}, call
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    assert [grant["Permission"] for grant in s3.get_bucket_acl(Bucket=bucket)["Grants"]] == ["FULL_CONTROL"]
    rules = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}], rules
    versions = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 3})
    versions = [(version["Key"], version["VersionId"]) for page in versions for version in page["Versions"]]
    assert sorted(versions) == sorted((key, "null") for key in KEYS), versions
    told = s3.get_object_attributes(Bucket=bucket, Key="a", ObjectAttributes=["ETag", "Checksum", "ObjectSize", "StorageClass"])
    assert (told["ObjectSize"], told["StorageClass"]) == (1, "STANDARD") and told["Checksum"]["ChecksumCRC32"], told
    assert told["ETag"] == s3.head_object(Bucket=bucket, Key="a")["ETag"], told


def writing(bucket):
    place = dict(Bucket=bucket, Key="w")
    first = s3.put_object(Body=b"1", **place)["ETag"]
    refused(s3.put_object, "PreconditionFailed", "", 412, Body=b"2", IfMatch='"x"', **place)
    refused(s3.put_object, "PreconditionFailed", "", 412, Body=b"2", IfNoneMatch="*", **place)
    refused(s3.put_object, "NoSuchKey", "", 404, Body=b"2", IfMatch=first, Bucket=bucket, Key="none")
    refused(s3.delete_object, "PreconditionFailed", "", 412, IfMatch='"x"', **place)
    many = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "w", "ETag": '"x"'}, {"Key": "none"}]})
    assert [one["Code"] for one in many["Errors"]] == ["PreconditionFailed"] and len(many["Deleted"]) == 1, many
    assert s3.get_object(**place)["Body"].read() == b"1"
    for code, status, asked in (
        ("AccessControlListNotSupported", 400, {"ACL": "public-read"}),
        ("NotImplemented", 501, {"StorageClass": "GLACIER"}),
        ("InvalidStorageClass", 400, {"StorageClass": "COLD"}),
        ("InvalidDigest", 400, {"ContentMD5": "x"}),
        ("InvalidRequest", 400, {"ChecksumSHA256": "AAAA"}),
        ("BadDigest", 400, {"ChecksumCRC32": "AAAAAA=="}),
        ("MetadataTooLarge", 400, {"Metadata": {"k": "v" * 2048}}),
        ("NotImplemented", 501, {"ServerSideEncryption": "aws:kms"}),
        ("InvalidRequest", 400, {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}),
        ("NotImplemented", 501, {"Tagging": "a=b"}),
    ):
        refused(s3.put_object, code, "", status, Body=b"x", **asked, **place)
    source = {"Bucket": bucket, "Key": "ünïcødé/日本"}
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    assert s3.head_object(Bucket=bucket, Key="copy")["ETag"] == copied["CopyObjectResult"]["ETag"]
    refused(s3.copy_object, "PreconditionFailed", "", 412, Bucket=bucket, Key="copy", CopySource=source, CopySourceIfMatch='"x"')
    refused(s3.copy_object, "InvalidArgument", "Invalid copy source object key", Bucket=bucket, Key="copy", CopySource="only-a-bucket")
    refused(s3.copy_object, "InvalidRequest", "trying to copy an object to itself", Bucket=bucket, Key="w", CopySource=dict(place))
    refused(s3.delete_objects, "MalformedXML", "The XML you provided", Bucket=bucket, Delete={"Objects": [{"Key": str(n)} for n in range(1001)]})


def parts(bucket):
    place = dict(Bucket=bucket, Key="p")
    place["UploadId"] = s3.create_multipart_upload(**place)["UploadId"]
    large = bytes(range(256)) * (5 << 12)
    s3.put_object(Bucket=bucket, Key="large", Body=large)
    whole = {"Bucket": bucket, "Key": "large"}
    one = s3.upload_part_copy(PartNumber=1, CopySource=whole, **place)["CopyPartResult"]["ETag"]
    two = s3.upload_part_copy(PartNumber=2, CopySource=whole, CopySourceRange="bytes=1-3", **place)["CopyPartResult"]["ETag"]
    refused(s3.upload_part_copy, "InvalidArgument", "not valid for source object", PartNumber=2, CopySource=whole,
            CopySourceRange=f"bytes=0-{len(large)}", **place)
    listed = s3.list_parts(MaxParts=1, **place)
    assert listed["IsTruncated"] and [part["PartNumber"] for part in listed["Parts"]] == [1], listed
    rest = s3.list_parts(PartNumberMarker=listed["NextPartNumberMarker"], **place)
    assert not rest["IsTruncated"] and [(part["PartNumber"], part["Size"]) for part in rest["Parts"]] == [(2, 3)], rest
    given = [{"PartNumber": 1, "ETag": one}, {"PartNumber": 2, "ETag": two}]
    complete = s3.complete_multipart_upload
    refused(complete, "InvalidPartOrder", "ascending order", MultipartUpload={"Parts": given[::-1]}, **place)
    refused(complete, "InvalidPart", "", MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": '"x"'}]}, **place)
    refused(s3.upload_part, "InvalidArgument", "between 1 and 10000", PartNumber=10001, Body=b"", **place)
    complete(MultipartUpload={"Parts": given}, **place)
    assert s3.get_object(Bucket=bucket, Key="p")["Body"].read() == large + large[1:4]
    refused(complete, "NoSuchUpload", "", 404, MultipartUpload={"Parts": given}, **place)
    place["UploadId"] = s3.create_multipart_upload(Bucket=bucket, Key="p")["UploadId"]
    s3.abort_multipart_upload(**place)
    refused(s3.abort_multipart_upload, "NoSuchUpload", "", 404, **place)
    refused(s3.list_parts, "NoSuchUpload", "", 404, **place)


def signatures(bucket):
    sign = lambda method, seconds: s3.generate_presigned_url(method, Params={"Bucket": bucket, "Key": "a"}, ExpiresIn=seconds)
    short = sign("get_object", 1)
    assert status_of(sign("get_object", 60))[0] == 200 and status_of(sign("put_object", 60), "PUT", b"a")[0] == 200
    for url, method, code in (
        (sign("get_object", 60), "PUT", "SignatureDoesNotMatch"),
        (sign("get_object", 60).replace("/a?", "/w?"), "GET", "SignatureDoesNotMatch"),
        (sign("get_object", 8 * 86400), "GET", "AuthorizationQueryParametersError"),
        (f"{ENDPOINT}/{bucket}/a", "GET", "AccessDenied"),
    ):
        status, said = status_of(url, method)
        assert status in (400, 403) and f"<Code>{code}</Code>" in said, (url, status, said)
        assert "<Message>" in said and "<RequestId>" in said, said
    for odd in ("bytes=a-b", "bytes=0-0,1-1", "items=0-0"):
        asked = urllib.request.Request(sign("get_object", 60), headers={"Range": odd})
        assert urllib.request.urlopen(asked).status == 200, odd
    assert "<Message>Access Denied</Message>" in status_of(f"{ENDPOINT}/{bucket}/a")[1]
    key, secret = (os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    session = boto3.client("s3", aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token="x")
    refused(session.list_buckets, "InvalidToken", "The provided token is malformed or otherwise invalid.")
    old = boto3.client("s3", config=Config(signature_version="s3"))
    refused(old.list_buckets, "InvalidRequest", "Please use AWS4-HMAC-SHA256.")
    time.sleep(2.1)
    status, said = status_of(short)
    assert status == 403 and "<Message>Request has expired</Message>" in said, said


describes()
launches()
missing()
attributes()
BUCKET = "odd-bucket"
for step in (names, untold, reading, writing, parts, signatures):
    step(BUCKET)
assert not failures, "\n".join(failures)
print("refused as EC2 and S3 do:", count, "calls")
