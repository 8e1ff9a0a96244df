"""Drives a twin with boto3 and holds every answer against AWS's own service models: no
element that botocore does not know, and what the calls mean. Run by clients.rs."""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT, STATE = sys.argv[1:]
ec2 = boto3.client("ec2", endpoint_url=ENDPOINT, config=Config(retries={"max_attempts": 1}))
s3 = boto3.client("s3", endpoint_url=ENDPOINT, config=Config(signature_version="s3v4"))
unknown = []


def check_shape(element, shape, path):
    """Notes what the model does not have."""
    if shape.type_name == "structure":
        names = {m.serialization.get("name", n): m for n, m in shape.members.items()}
        for child in element:
            name = child.tag.split("}")[-1]
            if name in names:
                check_shape(child, names[name], f"{path}.{name}")
            elif name not in ("requestId", "return"):
                unknown.append(f"{path}.{name}")
    elif shape.type_name == "list":
        for child in element:
            check_shape(child, shape.member, path)
    elif len(element):
        unknown.append(f"{path} has elements")


def watch(http_response, parsed, model, **_):
    if model.output_shape is not None and http_response.status_code == 200:
        check_shape(ElementTree.fromstring(http_response.content), model.output_shape, model.name)


ec2.meta.events.register("after-call.ec2.*", watch)


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
    big = bytes(range(256)) * 4 * 10240 * 2
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(big), 6 << 20), 1):
        part = s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=number, Body=big[start:start + (6 << 20)])
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(Bucket=bucket, Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == big
    listed = s3.list_objects_v2(Bucket=bucket, MaxKeys=1)
    assert listed["KeyCount"] == 1 and listed["IsTruncated"]
    signed = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a"}, ExpiresIn=1)
    assert urllib.request.urlopen(signed).read() == b"one"
    for bad in (signed.replace(f"/{bucket}/a", f"/{bucket}/big"), f"{ENDPOINT}/{bucket}/a"):
        try:
            urllib.request.urlopen(bad)
            raise AssertionError("served without a right signature")
        except urllib.error.HTTPError as error:
            assert error.code == 403, error.code
    time.sleep(2.1)
    try:
        urllib.request.urlopen(signed)
        raise AssertionError("served after its expiry")
    except urllib.error.HTTPError as error:
        assert error.code == 403
    assert code_of(s3.delete_bucket, Bucket=bucket) == "BucketNotEmpty"
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "big"}]})
    s3.delete_bucket(Bucket=bucket)


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
    found = ec2.describe_instances(Filters=[{"Name": "tag:l4re:name", "Values": ["boto"]}])
    assert [r["Instances"][0]["InstanceId"] for r in found["Reservations"]] == [one]
    ec2.get_console_output(InstanceId=one, Latest=True)
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
    patient = boto3.client("ec2", endpoint_url=ENDPOINT)
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
    plan(rule("DescribeRegions", {"delay": {"milliseconds": 300}}), rule("DescribeVpcs", {"truncate": {"bytes": 60}}))
    start = time.monotonic()
    ec2.describe_regions()
    assert time.monotonic() - start >= 0.3
    try:
        ec2.describe_vpcs()
        raise AssertionError("a truncated answer was taken for whole")
    except botocore.exceptions.BotoCoreError:
        pass
    plan()


image = reads()
objects()
life(image)
faults(image)
sts = boto3.client("sts", endpoint_url=ENDPOINT).get_caller_identity()
assert len(sts["Account"]) == 12
wrong = boto3.client("ec2", endpoint_url=ENDPOINT, aws_secret_access_key="wrong", aws_access_key_id=boto3.Session().get_credentials().access_key)
assert code_of(wrong.describe_instances) == "SignatureDoesNotMatch"
assert not unknown, sorted(set(unknown))
print("botocore", botocore.__version__, "knows every element")
