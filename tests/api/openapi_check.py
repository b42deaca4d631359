#!/usr/bin/python3
"""openapi_check.py OPENAPI ANSWERS: every answer (a JSON line of record.c) against the description, and every route of the
description but /metrics must have answered 200. Prints what differs; exit status 1 then, 77 without python3-jsonschema."""
import json
import sys

try:
    from jsonschema import Draft202012Validator, RefResolver
except ImportError:
    print("SKIP: needs python3-jsonschema")
    sys.exit(77)


def deref(document, node):
    while "$ref" in node:
        target = document
        for word in node["$ref"].removeprefix("#/").split("/"):
            target = target[word]
        node = target
    return node


def check(document, resolver, answer):
    path = document["paths"].get(answer["route"])
    if path is None:
        return "the route is not described"
    method = {"HEAD": "get"}.get(answer["method"], answer["method"].lower())
    operation = path.get(method) or next(iter(path.values()))
    response = operation["responses"].get(str(answer["status"]))
    if response is None:
        return "the status is not described"
    response = deref(document, response)
    for header, key in (("Allow", "allow"), ("Retry-After", "retry_after")):
        described = response.get("headers", {}).get(header)
        if key in answer and described is None:
            return f"{header} is not described"
        if described is not None and deref(document, described).get("required") and key not in answer:
            return f"{header} is missing"
    schema = response["content"]["application/json"]["schema"]
    errors = sorted(Draft202012Validator(schema, resolver=resolver).iter_errors(answer["body"]), key=str)
    return "; ".join(f"{'/'.join(map(str, e.path))}: {e.message}" for e in errors)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        document = json.load(file)
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    resolver = RefResolver("", document)
    failures, count, seen = 0, 0, set()
    with open(sys.argv[2], encoding="utf-8") as file:
        for line in file:
            answer = json.loads(line)
            count += 1
            problem = check(document, resolver, answer)
            if problem:
                failures += 1
                print(f"{answer['method']} {answer['route']} {answer['status']}: {problem}: {json.dumps(answer['body'])[:400]}")
            elif answer["status"] == 200:
                seen.add(answer["route"])
    for route in document["paths"]:
        if route not in seen and route != "/metrics":
            failures += 1
            print(f"{route}: no answer 200 was seen")
    print(f"{count} answers, {failures} failures")
    sys.exit(1 if failures else 0)


main()
