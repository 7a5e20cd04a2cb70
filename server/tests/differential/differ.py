#!/usr/bin/env python3
"""Random requests to Berth and to the original, and a word on every answer that differs.

The original runs in this process on an SQLite file, so this needs the whole package and its dependencies:

  python3 -m venv v; v/bin/pip install openstack-placement==16.0.0
  v/bin/python differ.py --seed 1 --steps 2000 --berth target/release/berth

Statuses have to be equal, and so have bodies, but for order where the API promises none, times, and
request ids. Of errors the code is compared, and with --texts whether the original says what Berth says.
Exit status 0 if nothing differed.

Known differences: where a suffixed group and the group without suffix take the same class from the same
provider, the original sometimes counts an amount twice in what it proposes. A request that is refused
leaves nothing behind here; there, an empty consumer may stay. A reshape that reserves more than there
is, is refused here.
"""
import argparse
import http.client
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
import warnings

CLASSES = ['VCPU', 'MEMORY_MB', 'DISK_GB', 'CUSTOM_A', 'CUSTOM_B']
TRAITS = ['HW_CPU_X86_AVX', 'CUSTOM_X', 'CUSTOM_Y', 'MISC_SHARES_VIA_AGGREGATE']
VERSIONS = [0, 1, 4, 7, 8, 11, 12, 13, 14, 17, 18, 19, 22, 24, 26, 27, 28, 29, 31, 33, 34, 36, 37, 38, 39]


def uuids(kind, count):
    return ['%s0000000-0000-4000-8000-%012d' % (kind, n) for n in range(count)]


PROVIDERS, CONSUMERS, AGGREGATES = uuids('a', 7), uuids('c', 5), uuids('e', 2)


class Original:
    """Placement on a database of its own, called as a function."""

    def __init__(self, folder):
        warnings.simplefilter('ignore')
        from oslo_config import cfg
        from oslo_policy import opts as policy_options
        from placement import conf, deploy
        from placement.db_api import configure
        config = cfg.ConfigOpts()
        conf.register_opts(config)
        url = 'sqlite:///' + os.path.join(folder, 'placement.db')
        config.set_default('connection', url, group='placement_database')
        config([], default_config_files=[])
        policy_options.set_defaults(config)
        config.set_override('enforce_new_defaults', False, group='oslo_policy')
        config.set_override('sync_on_startup', True, group='placement_database')
        config.set_override('auth_strategy', 'noauth2', group='api')
        configure(config)
        self.app = deploy.loadapp(config)

    def call(self, method, path, headers, body):
        import webob
        request = webob.Request.blank(path, method=method, headers=headers)
        if body is not None:
            request.body = body
        answer = request.get_response(self.app)
        return answer.status_int, answer.body, answer.headers


class Berth:
    """A server of ours, over HTTP."""

    def __init__(self, binary):
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [binary, 'serve', '--listen', '127.0.0.1:%d' % self.port], stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                self.connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=30)
                self.connection.connect()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError('berth does not listen')

    def call(self, method, path, headers, body):
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read(), answer.headers

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class Requests:
    """Random requests that often succeed: generations are read before they are sent."""

    def __init__(self, seed, ask):
        self.random, self.ask = random.Random(seed), ask
        self.consumers, self.retired = list(CONSUMERS), 0

    def retire(self, body):
        """A request that is refused can leave an empty consumer behind in the original: it is not asked for again."""
        for place, consumer in enumerate(self.consumers):
            if consumer in json.dumps(body):
                self.retired += 1
                self.consumers[place] = 'd0000000-0000-4000-8000-%012d' % self.retired

    def some(self, values, least=0):
        return self.random.sample(values, self.random.randint(least, min(3, len(values))))

    def one(self, values):
        return self.random.choice(values)

    def often(self, chance=0.9):
        return self.random.random() < chance

    def generation(self, provider):
        found = self.ask('/resource_providers/' + provider)
        return found.get('generation', 0) + (0 if self.often() else 1)

    def consumer_generation(self, consumer):
        found = self.ask('/allocations/' + consumer).get('consumer_generation')
        return found if self.often() else self.one([None, 1, 2])

    def inventory(self, sound=False):
        """With `sound`, no more is reserved than there is: the original takes even that when it reshapes, Berth does not."""
        record = {'total': self.one([10, 100] if sound else [1, 4, 10, 100])}
        for name, values in (('reserved', [0, 1, 4, 10]), ('min_unit', [1, 2]), ('max_unit', [1, 4, 100]),
                             ('step_size', [1, 2, 3]), ('allocation_ratio', [0.5, 1.0, 1.5, 2, 16.0])):
            if self.often(0.4):
                record[name] = self.one(values)
        return record

    def resources(self):
        return {rc: self.one([1, 1, 2, 3, 4, 8]) for rc in self.some(CLASSES, 1)}

    def consumer_body(self, minor, consumer, may_be_empty=True):
        least = 0 if may_be_empty and self.often(0.2) else 1
        providers = self.some(PROVIDERS, least)
        if minor < 12:
            body = {'allocations': [{'resource_provider': {'uuid': p}, 'resources': self.resources()} for p in providers]}
        else:
            body = {'allocations': {p: {'resources': self.resources()} for p in providers}}
        if minor >= 8:
            body.update(project_id=self.one(['p1', 'p2']), user_id=self.one(['u1', 'u2']))
        if minor >= 28:
            body['consumer_generation'] = self.consumer_generation(consumer)
        if minor >= 38:
            body['consumer_type'] = self.one(['INSTANCE', 'MIGRATION'])
        return body

    def query(self, names):
        parts = []
        makers = {
            'name': lambda: self.one(['p0', 'p1', 'q2']), 'uuid': lambda: self.one(PROVIDERS),
            'in_tree': lambda: self.one(PROVIDERS),
            'member_of': lambda: self.one(['', '', '!', 'in:']) + self.one(AGGREGATES),
            'required': lambda: self.one(['', '', '!', 'in:']) + self.one(TRAITS),
            'resources': lambda: ','.join('%s:%d' % item for item in self.resources().items()),
        }
        for name in names:
            if self.often(0.35):
                parts.append('%s=%s' % (name, makers[name]()))
        return '&'.join(parts)

    def candidates(self, minor):
        parts = [self.query(['member_of', 'in_tree', 'required'])]
        parts.append('resources=' + ','.join('%s:%d' % item for item in self.resources().items()))
        for suffix in ('1', '2'):
            if minor >= 25 and self.often(0.3):
                parts.append('resources%s=%s:%d' % (suffix, self.one(CLASSES), self.one([1, 2])))
                if self.often(0.4):
                    parts.append('required%s=%s' % (suffix, self.one(TRAITS)))
        if minor >= 25:
            parts.append('group_policy=' + self.one(['none', 'isolate']))
        if minor >= 35 and self.often(0.2):
            parts.append('root_required=' + self.one(['', '!']) + self.one(TRAITS))
        if minor >= 36 and self.often(0.2):
            parts.append('same_subtree=1,2')
        return '&'.join(part for part in parts if part)

    def next(self):
        """(method, path, body, minor)"""
        minor = self.one(VERSIONS) if self.often(0.6) else 39
        p, c = self.one(PROVIDERS), self.one(self.consumers)
        base, name = '/resource_providers/' + p, self.one(['p', 'p', 'p', 'q']) + str(PROVIDERS.index(p))
        parent = {} if minor < 14 or self.often(0.3) else {'parent_provider_uuid': self.one(PROVIDERS + [None])}
        kinds = [
            (6, lambda: ('POST', '/resource_providers', dict(name=name, uuid=p, **parent))),
            (2, lambda: ('PUT', base, dict(name=name, **parent))),
            (1, lambda: ('DELETE', base, None)),
            (6, lambda: ('PUT', base + '/inventories', {
                'resource_provider_generation': self.generation(p),
                'inventories': {rc: self.inventory() for rc in self.some(CLASSES)}})),
            (3, lambda: ('POST', base + '/inventories', dict(self.inventory(), resource_class=self.one(CLASSES)))),
            (2, lambda: ('PUT', base + '/inventories/' + self.one(CLASSES), dict(
                self.inventory(), resource_provider_generation=self.generation(p)))),
            (1, lambda: ('DELETE', base + '/inventories' + self.one(['', '/' + self.one(CLASSES)]), None)),
            (3, lambda: ('PUT', base + '/traits', {
                'traits': self.some(TRAITS), 'resource_provider_generation': self.generation(p)})),
            (1, lambda: ('DELETE', base + '/traits', None)),
            (3, lambda: ('PUT', base + '/aggregates', self.some(AGGREGATES) if minor < 19 else {
                'aggregates': self.some(AGGREGATES), 'resource_provider_generation': self.generation(p)})),
            (9, lambda: ('PUT', '/allocations/' + c, self.consumer_body(minor, c, minor >= 28))),
            (5, lambda: ('POST', '/allocations', {
                each: self.consumer_body(max(minor, 12), each) for each in self.some(self.consumers, 1)})),
            (2, lambda: ('DELETE', '/allocations/' + c, None)),
            (3, lambda: ('POST', '/reshaper', {
                'inventories': {each: {
                    'resource_provider_generation': self.generation(each),
                    'inventories': {rc: self.inventory(sound=True) for rc in self.some(CLASSES)}}
                    for each in self.some(PROVIDERS, 1)},
                'allocations': {each: self.consumer_body(max(minor, 28), each) for each in self.some(self.consumers)}})),
            (2, lambda: (self.one(['PUT', 'DELETE', 'GET']), '/traits/' + self.one(TRAITS + ['CUSTOM_Z', 'bad']), None)),
            (2, lambda: (self.one(['PUT', 'DELETE', 'GET']), '/resource_classes/' + self.one(CLASSES + ['CUSTOM_C', 'x']), None)),
            (6, lambda: ('GET', '/allocation_candidates?' + self.candidates(minor), None)),
            (4, lambda: ('GET', '/resource_providers?' + self.query(
                ['name', 'uuid', 'in_tree', 'member_of', 'required', 'resources']), None)),
            (6, lambda: ('GET', base + self.one(
                ['', '/inventories', '/usages', '/aggregates', '/allocations', '/traits', '/inventories/VCPU']), None)),
            (3, lambda: ('GET', '/allocations/' + c, None)),
            (2, lambda: ('GET', '/usages?project_id=' + self.one(['p1', 'p2&user_id=u1', 'p1&consumer_type=all',
                                                                  'p1&consumer_type=unknown', 'p2&consumer_type=INSTANCE']), None)),
            (1, lambda: ('GET', self.one(['/', '/traits?name=startswith:CUSTOM', '/traits?associated=true',
                                          '/resource_classes', '/nothing', '/traits?associated=maybe']), None)),
        ]
        weights = [weight for weight, _ in kinds]
        method, path, body = self.random.choices(kinds, weights)[0][1]()
        if body is not None and self.often(0.04):
            body = self.spoil(body)
        return method, path, body, minor

    def spoil(self, body):
        """Something that the schema may not like."""
        if isinstance(body, list) or not body:
            return self.one([{}, ['pony'], 7])
        body = dict(body)
        member = self.one(sorted(set(body) - {'uuid'}))  # both would make up their own
        how = self.one(['drop', 'type', 'more'])
        if how == 'drop':
            del body[member]
        elif how == 'type':
            body[member] = self.one([7, 'pony', None, [], {}, -1])
        else:
            body['pony'] = 1
        return body


def plain(value, key=''):
    """The value with a definite order, and without what nobody promises."""
    if isinstance(value, dict):
        return {name: plain(member, name) for name, member in sorted(value.items()) if name != 'links'}
    if isinstance(value, list):
        return sorted((plain(member) for member in value), key=lambda member: json.dumps(member, sort_keys=True))
    return value


def compare(ours, theirs, texts):
    """What differs, if anything does."""
    (status, body, headers), (right_status, right_body, right_headers) = ours, theirs
    if status != right_status:
        return 'status'
    # The original leaves it out of empty lists.
    if right_headers.get('last-modified') and not headers.get('last-modified'):
        return 'last-modified'
    parse = lambda text: json.loads(text) if text else None  # noqa: E731
    found, right = parse(body), parse(right_body)
    if status < 400:
        return None if plain(found) == plain(right) else 'body'
    if status == 401:
        return None
    found, right = found['errors'][0], right['errors'][0]
    if found.get('code') != right.get('code') or found['title'] != right['title']:
        return 'code'
    if texts:
        words = re.sub(r'\W+', ' ', found['detail'])[:60].strip()
        if words not in re.sub(r'\W+', ' ', right['detail']):
            return 'text'
    return None


def main():
    parser = argparse.ArgumentParser(description='Random requests to Berth and to the original.')
    parser.add_argument('--berth', default='target/release/berth', help='the binary')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--steps', type=int, default=2000)
    parser.add_argument('--texts', action='store_true', help='also compare how error texts begin')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        original, berth = Original(folder), Berth(options.berth)
        try:
            sys.exit(run(options, original, berth))
        finally:
            berth.stop()


def run(options, original, berth):
    def both(method, path, body, minor):
        headers = {'X-Auth-Token': 'admin', 'Accept': 'application/json',
                   'OpenStack-API-Version': 'placement 1.%d' % minor}
        data = None
        if body is not None:
            headers['Content-Type'] = 'application/json'
            data = json.dumps(body).encode()
        return berth.call(method, path, headers, data), original.call(method, path, headers, data)

    def ask(path):
        (status, body, _), _ = both('GET', path, None, 39)
        return json.loads(body) if status == 200 else {}

    requests, statuses, differences = Requests(options.seed, ask), {}, 0
    for name in CLASSES[3:] + TRAITS[1:3]:
        both('PUT', ('/resource_classes/' if name in CLASSES else '/traits/') + name, None, 39)
    for step in range(options.steps):
        method, path, body, minor = requests.next()
        ours, theirs = both(method, path, body, minor)
        statuses[theirs[0]] = statuses.get(theirs[0], 0) + 1
        if theirs[0] >= 400 and method in ('PUT', 'POST') and ('/allocations/' in path or path in ('/allocations', '/reshaper')):
            requests.retire([path, body])
        what = compare(ours, theirs, options.texts)
        if what:
            differences += 1
            print('step %d: %s differs: 1.%d %s %s %s' % (step, what, minor, method, path, json.dumps(body)))
            print('  ours:   %d %s' % (ours[0], ours[1][:700].decode()))
            print('  theirs: %d %s' % (theirs[0], theirs[1][:700].decode()))
    print('seed %d: %d requests, %d differences; statuses %s' % (
        options.seed, options.steps, differences, dict(sorted(statuses.items()))))
    return 1 if differences else 0


if __name__ == '__main__':
    main()
