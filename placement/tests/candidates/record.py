#!/usr/bin/env python3
"""Asks OpenStack Placement for allocation candidates on random small fleets and records its answers.

    pip install openstack-placement
    record.py --seed 1 --fleets 200 --out recorded.json.gz

Placement runs in this process on SQLite. One JSON document per line: a fleet and what was asked of it. A few answers of
Placement depend on the order of its internal ids (see REPAIRS); there the repaired answer is recorded and marked.
"""

import argparse
import collections
import contextlib
import copy
import gzip
import json
import os
import random
import sqlite3
import tempfile
import uuid
from unittest import mock

import sqlalchemy as sa
import webob
from oslo_config import cfg
from placement import conf, deploy
from placement.objects import allocation_candidate as ac
from placement.objects import research_context, trait

SHARES = "MISC_SHARES_VIA_AGGREGATE"
CLASSES = ["VCPU", "DISK_GB", "CUSTOM_VF"]
TRAITS = [SHARES, "CUSTOM_A", "CUSTOM_B", "CUSTOM_C"]
VERSIONS = [10, 12, 16, 17, 21, 22, 24, 25, 27, 28, 29, 31, 32, 33, 34, 35, 36, 39]


class Placement:
    """The service in this process."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "placement.sqlite")
        config = cfg.ConfigOpts()
        conf.register_opts(config)
        config.set_override("connection", f"sqlite:///{self.path}", group="placement_database")
        config.set_override("sync_on_startup", True, group="placement_database")
        config.set_override("auth_strategy", "noauth2", group="api")
        config([], project="placement", default_config_files=[])
        self.app = deploy.loadapp(config)
        for name in CLASSES[2:]:
            self.call("PUT", f"/resource_classes/{name}")
        for name in TRAITS[1:]:
            self.call("PUT", f"/traits/{name}")

    def call(self, method, path, body=None, version=39, ok=True):
        request = webob.Request.blank(path, method=method)
        request.headers["x-auth-token"] = "admin"
        request.headers["openstack-api-version"] = f"placement 1.{version}"
        if body is not None:
            request.content_type = "application/json"
            request.body = json.dumps(body).encode()
        response = request.get_response(self.app)
        if ok and response.status_int >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {response.text}")
        return response

    def clear(self):
        with contextlib.closing(sqlite3.connect(self.path)) as database:
            tables = ["allocations", "consumers", "inventories", "resource_provider_aggregates",
                      "resource_provider_traits", "placement_aggregates", "resource_providers"]
            for table in tables:
                database.execute(f"DELETE FROM {table}")
            database.commit()

    def build(self, fleet):
        self.clear()
        for number, provider in enumerate(fleet["providers"]):
            body = {"name": f"provider {number}", "uuid": provider_id(number)}
            if provider["parent"] is not None:
                body["parent_provider_uuid"] = provider_id(provider["parent"])
            self.call("POST", "/resource_providers", body)
            path = f"/resource_providers/{provider_id(number)}"
            generation = 0
            for what, body in self.contents(provider):
                body["resource_provider_generation"] = generation
                generation = self.call("PUT", f"{path}/{what}", body).json["resource_provider_generation"]
        for number, provider in enumerate(fleet["providers"]):
            self.take(number, provider)

    def contents(self, provider):
        if provider["traits"]:
            yield "traits", {"traits": provider["traits"]}
        if provider["aggregates"]:
            yield "aggregates", {"aggregates": [aggregate_id(n) for n in provider["aggregates"]]}
        if provider["inventories"]:
            large = {name: {"total": 1_000_000} for name in provider["inventories"]}
            yield "inventories", {"inventories": large}

    def take(self, number, provider):
        """Adds consumers while inventories are large, then sets the real inventories."""
        used = {name: stock[6] for name, stock in provider["inventories"].items() if stock[6]}
        path = f"/resource_providers/{provider_id(number)}"
        if used:
            self.call("PUT", f"/allocations/{uuid.uuid4()}", {
                "allocations": {provider_id(number): {"resources": used}}, "project_id": "p",
                "user_id": "u", "consumer_generation": None, "consumer_type": "INSTANCE"})
        if not provider["inventories"]:
            return
        keys = ["total", "reserved", "min_unit", "max_unit", "step_size", "allocation_ratio"]
        stocks = {name: dict(zip(keys, stock)) for name, stock in provider["inventories"].items()}
        generation = self.call("GET", path).json["generation"]
        self.call("PUT", f"{path}/inventories",
                  {"inventories": stocks, "resource_provider_generation": generation})


def provider_id(number):
    return str(uuid.UUID(int=(1 << 64) | number))


def aggregate_id(number):
    return str(uuid.UUID(int=(1 << 80) | number))


def number_of(provider):
    return uuid.UUID(provider).int & 0xFFFF


# REPAIRS of what depends on the order of internal ids, and of one failure:
# 1. Amounts of a class that several groups ask for are summed in an object that other candidates
#    share, unless group_policy is none. So some candidates carry amounts of others.
# 2. The same resources at two anchors count as one match of the group without suffix; the granular
#    groups are then combined with it at one of the anchors only.
# 3. A sharing provider below the root of a tree that does not match itself is looked up in vain:
#    HTTP 500.

def same(one, other):
    return (set(one.resource_requests) == set(other.resource_requests) and one.mappings == other.mappings
            and one.anchor_root_provider_uuid == other.anchor_root_provider_uuid)


def without_anchor(consolidate):
    def consolidated(*arguments):
        request = consolidate(*arguments)
        request.anchor_root_provider_uuid = None
        return request
    return consolidated


def with_all_roots(build):
    def build_all(context, search, ids, _traits):
        table = research_context._RP_TBL
        query = sa.select(table.c.root_provider_id).where(table.c.id.in_(ids))
        roots = {row[0] for row in context.session.execute(query)}
        traits = trait.get_traits_by_provider_tree(context, roots)
        missing = {root for root in roots if root not in search.summaries_by_id}
        build(context, search, missing, traits)
    return build_all


@contextlib.contextmanager
def repaired():
    search = research_context.RequestWideSearchContext
    with contextlib.ExitStack() as patches:
        for target, name, value in [
            (search, "copy_arr_if_needed", lambda _, request: copy.copy(request)),
            (ac.AllocationRequest, "__eq__", same),
            (ac, "_consolidate_allocation_requests", without_anchor(ac._consolidate_allocation_requests)),
            (ac, "_build_provider_summaries", with_all_roots(ac._build_provider_summaries)),
        ]:
            patches.enter_context(mock.patch.object(target, name, value))
        yield


class Chance:
    """Random fleets and queries."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def one_in(self, number):
        return self.random.randrange(number) == 0

    def some(self, items, most):
        return sorted(self.random.sample(items, self.random.randint(0, min(most, len(items)))))

    def stock(self):
        total = self.random.randint(1, 9)
        reserved = self.random.randint(0, 1) if self.one_in(3) else 0
        units = [1, 100, 1] if not self.one_in(5) else [
            self.random.randint(1, 2), self.random.randint(2, 4), self.random.randint(1, 2)]
        ratio = self.random.choice([1.0, 1.0, 1.0, 1.5, 0.5, 2.0])
        used = self.random.randint(1, 4) if self.one_in(4) else 0
        if used and (used < units[0] or used > units[1] or used % units[2]):
            used = 0
        return [total, reserved, *units, ratio, used]

    def fleet(self):
        count = self.random.randint(2, 11)
        flat, lonely = self.one_in(6), self.one_in(2)
        providers = []
        for number in range(count):
            parent = None
            if number and not flat and not self.one_in(3):
                parent = self.random.randrange(number)
            traits = self.some(TRAITS[1:], 2)
            if not lonely and self.one_in(4):
                traits = [SHARES, *traits]
            providers.append({
                "parent": parent,
                "inventories": {name: self.stock() for name in self.some(CLASSES, 3)},
                "traits": traits,
                "aggregates": self.some([0, 1, 2], 2) if self.one_in(2) else [],
            })
        return {"classes": CLASSES, "traits": TRAITS, "providers": providers}

    def name(self, names):
        return "CUSTOM_UNKNOWN" if self.one_in(80) else self.random.choice(names)

    def group(self, suffix, version, count):
        group = {"suffix": suffix}
        least = 0 if suffix and version >= 36 and self.one_in(4) else 1
        classes = self.random.sample(CLASSES, self.random.randint(least, max(least, 1 + (not suffix))))
        if self.one_in(200):
            classes = ["CUSTOM_NOTHING"]
        group["resources"] = [[name, self.random.choice([1, 1, 1, 2, 3])] for name in classes]
        if version >= 17 and (self.one_in(4) or not classes):
            lists = [[self.name(TRAITS)] for _ in range(self.random.randint(1, 2))]
            if version >= 39 and self.one_in(2):
                lists.append(sorted({self.name(TRAITS) for _ in range(3)}))
            group["required"] = lists
        if version >= 22 and self.one_in(8):
            wanted = {name for any_of in group.get("required", []) for name in any_of}
            group["forbidden"] = [name for name in [self.name(TRAITS)] if name not in wanted]
        if version >= 21 and self.one_in(6):
            lists = [self.some([0, 1, 2, 3], 2) or [0] for _ in range(2 if version >= 24 and self.one_in(2) else 1)]
            group["member_of"] = lists
        if version >= 32 and self.one_in(8):
            group["not_member_of"] = self.some([0, 1, 2, 3], 2) or [1]
        if version >= 31 and self.one_in(12):
            group["in_tree"] = self.random.randrange(count + (1 if self.one_in(10) else 0))
        return group

    def asked(self, fleet):
        version = self.random.choice(VERSIONS + [39] * 6 + [36] * 4 + [28] * 3)
        suffixes = ["_A", "_B", "3"] if version >= 33 else ["1", "2", "3"]
        suffixes = suffixes[:self.random.choice([0, 1, 1, 2, 2, 3])] if version >= 25 else []
        count = len(fleet["providers"])
        groups = [self.group(suffix, version, count) for suffix in suffixes]
        if not suffixes or not self.one_in(3):
            groups.insert(self.random.randint(0, len(groups)), self.group("", version, count))
        if not any(group["resources"] for group in groups):
            groups[0] = {"suffix": groups[0]["suffix"], "resources": [[CLASSES[0], 1]]}
        asked = {"version": version, "groups": groups, "isolate": bool(suffixes) and self.one_in(2)}
        if version >= 36 and suffixes:
            bare = [group["suffix"] for group in groups if not group["resources"]]
            subtrees = [self.random.sample(suffixes, self.random.randint(1, len(suffixes)))
                        for _ in range(self.random.choice([0, 1, 1, 2]))]
            if not set(bare) <= {suffix for subtree in subtrees for suffix in subtree}:
                subtrees.append(sorted(suffixes))
            asked["same_subtrees"] = subtrees
        if version >= 35 and self.one_in(8):
            asked["root_required"] = self.some(TRAITS[1:] if not self.one_in(30) else ["CUSTOM_UNKNOWN"], 1)
        if version >= 35 and self.one_in(8):
            wanted = asked.get("root_required", [])
            asked["root_forbidden"] = [name for name in self.some(TRAITS, 2) if name not in wanted]
        return asked


def query_string(asked):
    parts = []
    for group in asked["groups"]:
        suffix = group["suffix"]
        if group["resources"]:
            amounts = ",".join(f"{name}:{amount}" for name, amount in group["resources"])
            parts.append(f"resources{suffix}={amounts}")
        single = [any_of[0] for any_of in group.get("required", []) if len(any_of) == 1]
        single += ["!" + name for name in group.get("forbidden", [])]
        if single:
            parts.append(f"required{suffix}={','.join(single)}")
        for any_of in group.get("required", []):
            if len(any_of) > 1:
                parts.append(f"required{suffix}=in:{','.join(any_of)}")
        for any_of in group.get("member_of", []):
            parts.append(f"member_of{suffix}=in:{','.join(map(aggregate_id, any_of))}")
        if group.get("not_member_of"):
            parts.append(f"member_of{suffix}=!in:{','.join(map(aggregate_id, group['not_member_of']))}")
        if "in_tree" in group:
            parts.append(f"in_tree{suffix}={provider_id(group['in_tree'])}")
    granular = sum(bool(group["suffix"]) for group in asked["groups"])
    if asked["isolate"]:
        parts.append("group_policy=isolate")
    elif granular > 1 or granular and asked["version"] % 2:
        parts.append("group_policy=none")
    parts += [f"same_subtree={','.join(subtree)}" for subtree in asked.get("same_subtrees", [])]
    root = asked.get("root_required", []) + ["!" + name for name in asked.get("root_forbidden", [])]
    if root:
        parts.append(f"root_required={','.join(root)}")
    return "&".join(parts)


def answer(placement, asked, fleet):
    version = asked["version"]
    response = placement.call(
        "GET", f"/allocation_candidates?{query_string(asked)}", version=version, ok=False)
    if response.status_int == 500:
        return {"error": "failure"}
    if response.status_int == 400:
        for kind, text in [("trait", "No such trait"), ("class", "Invalid resource class")]:
            if text in response.text:
                return {"error": kind}
    if response.status_int != 200:
        raise RuntimeError(f"{query_string(asked)} 1.{version}: {response.text}")
    candidates = sorted(candidate(request, version) for request in response.json["allocation_requests"])
    return {"candidates": candidates, "summaries": summaries(response.json, fleet, version)}


def candidate(request, version):
    allocations = request["allocations"]
    if version < 12:
        allocations = {one["resource_provider"]["uuid"]: one for one in allocations}
    taken = sorted([number_of(provider), name, amount] for provider, one in allocations.items()
                   for name, amount in one["resources"].items())
    served = sorted([suffix, sorted(map(number_of, providers))]
                    for suffix, providers in request.get("mappings", {}).items())
    return [taken, served]


def summaries(body, fleet, version):
    summaries = []
    for provider, summary in body["provider_summaries"].items():
        number = number_of(provider)
        if version >= 17:
            assert sorted(summary["traits"]) == sorted(fleet["providers"][number]["traits"])
        resources = sorted([name, one["capacity"], one["used"]] for name, one in summary["resources"].items())
        summaries.append([number, resources])
    return sorted(summaries)


def record(placement, chance, queries):
    fleet = chance.fleet()
    placement.build(fleet)
    recorded, kinds = [], collections.Counter()
    for _ in range(queries):
        asked = chance.asked(fleet)
        plain = answer(placement, asked, fleet)
        with repaired():
            asked["answer"] = answer(placement, asked, fleet)
        if plain != asked["answer"]:
            asked["order_dependent"] = True
        found = asked["answer"].get("candidates")
        kind = "error" if found is None else "some" if found else "none"
        # Most queries have no answer: a part of them is enough. Long answers say little more than
        # short ones.
        if kind == "none" and not chance.one_in(6) or found and len(found) > 40:
            continue
        kinds[kind, "order_dependent" in asked] += 1
        recorded.append(asked)
    return {"world": fleet, "queries": recorded}, kinds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fleets", type=int, default=100)
    parser.add_argument("--queries", type=int, default=30, help="asked of each fleet")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    chance, kinds = Chance(arguments.seed), collections.Counter()
    with tempfile.TemporaryDirectory() as directory, open(arguments.out, "wb") as file:
        placement = Placement(directory)
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as out:
            for _ in range(arguments.fleets):
                document, counted = record(placement, chance, arguments.queries)
                out.write(json.dumps(document, separators=(",", ":")).encode() + b"\n")
                kinds += counted
    print({f"{kind}{', order dependent' if dependent else ''}": count for (kind, dependent), count in kinds.items()})


if __name__ == "__main__":
    main()
