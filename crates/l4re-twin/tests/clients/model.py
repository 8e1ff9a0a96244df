"""Holds every answer against botocore's own service models: no element that the model does
not have, and none missing that it requires. Botocore itself drops the former and does not
look for the latter."""

import json
import xml.etree.ElementTree as ElementTree

unknown = []
seen = set()
answered = set()


def name_of(element):
    return element.tag.split("}")[-1]


def xml_members(shape, path, body_only):
    members = {}
    for name, member in shape.members.items():
        if body_only and member.serialization.get("location"):
            continue
        if member.type_name == "list" and member.serialization.get("flattened"):
            name = member.member.serialization.get("name", name) if not member.serialization.get("name") else name
        members[member.serialization.get("name", name)] = member
    return members


def check_xml(element, shape, path, body_only=False):
    if shape.type_name == "structure":
        members = xml_members(shape, path, body_only)
        given = set()
        for child in element:
            name = name_of(child)
            given.add(name)
            member = members.get(name)
            if member is None:
                if name not in ("requestId", "return", "ResponseMetadata"):
                    unknown.append(f"{path}.{name} is unknown")
            elif member.type_name == "list" and member.serialization.get("flattened"):
                check_xml(child, member.member, f"{path}.{name}")
            else:
                check_xml(child, member, f"{path}.{name}")
        for name in shape.required_members:
            wire = shape.members[name].serialization.get("name", name)
            if wire not in given and not shape.members[name].serialization.get("location"):
                unknown.append(f"{path}.{wire} is missing")
    elif shape.type_name == "list":
        for child in element:
            check_xml(child, shape.member, path)
    elif len(element):
        unknown.append(f"{path} has elements")


def check_json(value, shape, path, body_only=False):
    if shape.type_name == "structure":
        if not isinstance(value, dict):
            unknown.append(f"{path} is no structure")
            return
        members = {m.serialization.get("name", n): m for n, m in shape.members.items()
                   if not (body_only and m.serialization.get("location"))}
        for name, member in value.items():
            if name not in members:
                unknown.append(f"{path}.{name} is unknown")
            elif member is None:
                unknown.append(f"{path}.{name} is null")
            else:
                check_json(member, members[name], f"{path}.{name}")
        for name in shape.required_members:
            member = shape.members[name]
            if member.serialization.get("name", name) not in value and not member.serialization.get("location"):
                unknown.append(f"{path}.{name} is missing")
    elif shape.type_name == "list":
        for item in value:
            check_json(item, shape.member, path)
    elif isinstance(value, (dict, list)) and shape.type_name != "map":
        unknown.append(f"{path} is {type(value).__name__}, not {shape.type_name}")


def check(http_response, parsed, model, **_):
    service = model.service_model
    path = f"{service.service_name}:{model.name}"
    seen.add(path)
    metadata = parsed.get("ResponseMetadata", {})
    if not metadata.get("RequestId"):
        unknown.append(f"{path} has no request id")
    if http_response.status_code < 300:
        answered.add(path)
    shape = model.output_shape
    if shape is None or http_response.status_code >= 300:
        return
    if shape.serialization.get("payload"):
        payload = shape.members[shape.serialization["payload"]]
        if payload.type_name != "structure":
            return
        shape, body_only = payload, False
    else:
        body_only = True
    protocol = service.metadata["protocol"]
    content = http_response.content
    if protocol in ("json", "rest-json"):
        check_json(json.loads(content or b"{}"), shape, path, body_only)
    elif content:
        root = ElementTree.fromstring(content)
        if protocol == "query":
            root = next(child for child in root if name_of(child) == f"{model.name}Result")
        # One member alone at the top of an answer may be the answer.
        if body_only and path == "s3:GetBucketLocation":
            return
        check_xml(root, shape, path, body_only)


def watch(client):
    client.meta.events.register("after-call", check)
    return client
