#!/usr/bin/env python3
"""Migrates a real Placement to Berth, and back to a real Placement.

Run it with the Python of an environment that has Placement (requirements.txt beside this file):

  run_migration.py --berth target/release/berth --seed 1

1. Random requests fill a Placement on SQLite.
2. Its database is dumped by Berth's query and imported. Both must give the same answer to every GET.
3. Berth serves more random requests. Its state is exported as a script.
4. The script is run on the old database and on a new, empty one. Dumps of both must have Berth's digest, and
   a Placement on each must give the same answers as Berth and accept writes.

Prints a line for each check and 'N passed, N failed'.
"""
import argparse
import http.client
import json
import os
import pathlib
import random
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'differential'))
import generator  # noqa: E402
import servers  # noqa: E402

MINOR = 39


def serve_original(directory, port):
    """Placement on a database of its own, over HTTP."""
    from wsgiref.simple_server import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_message(self, *args):
            pass

    make_server('127.0.0.1', port, servers.Original(directory).app, handler_class=Quiet).serve_forever()


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Service:
    """A process that speaks the Placement API."""

    def __init__(self, command, port):
        environment = {name: value for name, value in os.environ.items() if not name.startswith('BERTH_')}
        self.port = port
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
        for _ in range(300):
            try:
                socket.create_connection(('127.0.0.1', port)).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        sys.exit('%s does not listen' % command)

    def call(self, method, path, body=None, minor=MINOR):
        headers = {'X-Auth-Token': 'admin', 'Accept': 'application/json',
                   'OpenStack-API-Version': 'placement 1.%d' % minor}
        if body is not None:
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers['Content-Type'] = 'application/json'
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=60)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text and answer.status == 200 else None

    def get(self, path):
        return self.call('GET', path)[1]

    def stop(self):
        self.process.terminate()
        return self.process.wait(30)


def original(directory):
    port = free_port()
    return Service([sys.executable, __file__, '--serve-original', str(directory), str(port)], port)


def berth(binary, data):
    port = free_port()
    return Service([binary, 'serve', '--listen', '127.0.0.1:%d' % port, '--grpc-listen', '127.0.0.1:0', '--data', str(data)], port)


def fill(service, seed, steps):
    """Sends random requests, and creates names that they seldom create."""
    requests = generator.Requests(seed, lambda path: service.get(path) or {})
    for name in generator.CLASSES[3:] + generator.TRAITS[1:3]:
        service.call('PUT', ('/resource_classes/' if name in generator.CLASSES else '/traits/') + name)
    for _ in range(steps):
        method, path, body, minor = requests.next()
        service.call(method, path, body, minor)


def fill_by_hand(service):
    """Names with marks that SQL and JSON treat as their own, ratios without end, more in use than there is."""
    made = {}
    for at, name in enumerate(["it's \"quoted\"", 'back\\slash', 'ünïcödé ☂', "'; DROP TABLE consumers; --"]):
        uuid = made[name] = '00000000-0000-4000-8000-%012d' % at
        parent = made[list(made)[at - 1]] if at % 2 else None
        service.call('POST', '/resource_providers', {'name': name, 'uuid': uuid, 'parent_provider_uuid': parent})
        service.call('PUT', '/resource_providers/%s/inventories' % uuid, {
            'resource_provider_generation': 0,
            'inventories': {'VCPU': {'total': 16, 'allocation_ratio': 1.1 + at / 3}, 'MEMORY_MB': {'total': 2 ** 31 - 1}}})
        consumer = '00000000-0000-4000-9000-%012d' % at
        body = {'allocations': {uuid: {'resources': {'VCPU': 12}}}, 'project_id': "o'project", 'user_id': 'ü',
                'consumer_generation': None, 'consumer_type': ['INSTANCE', 'MIGRATION'][at % 2]}
        service.call('PUT', '/allocations/' + consumer, body)
        service.call('PUT', '/resource_providers/%s/inventories/VCPU' % uuid,
                     {'resource_provider_generation': 2, 'total': 8})
    for uuid, others in ((made['back\\slash'], ['CUSTOM_BY_HAND']), (made['ünïcödé ☂'], ['MISC_SHARES_VIA_AGGREGATE'])):
        service.call('PUT', '/traits/' + others[0])
        generation = service.get('/resource_providers/' + uuid)['generation']
        service.call('PUT', '/resource_providers/%s/traits' % uuid,
                     {'resource_provider_generation': generation, 'traits': others})
        service.call('PUT', '/resource_providers/%s/aggregates' % uuid, {
            'resource_provider_generation': generation + 1,
            'aggregates': ['00000000-0000-4000-b000-00000000000%d' % at for at in (1, 2)]})
    old = {'allocations': [{'resource_provider': {'uuid': made['back\\slash']}, 'resources': {'MEMORY_MB': 1}}]}
    service.call('PUT', '/allocations/00000000-0000-4000-9000-999999999999', old, minor=1)


def everything(service):
    """All that can be read, but for times and standard names."""
    found = {}

    def keep(path):
        found[path] = service.get(path)
        return found[path]

    def custom(path, what):
        names = [entry['name'] if isinstance(entry, dict) else entry for entry in service.get(path)[what]]
        found[path] = sorted(name for name in names if name.startswith('CUSTOM_'))

    custom('/traits', 'traits')
    custom('/resource_classes', 'resource_classes')
    consumers = set()
    for provider in keep('/resource_providers')['resource_providers']:
        for what in ('', '/inventories', '/usages', '/traits', '/aggregates'):
            keep('/resource_providers/%s%s' % (provider['uuid'], what))
        consumers |= set(keep('/resource_providers/%s/allocations' % provider['uuid'])['allocations'])
    for consumer in consumers:
        kept = keep('/allocations/' + consumer)
        keep('/usages?project_id=%s' % kept['project_id'].replace("'", '%27'))
    for query in ('resources=VCPU:1', 'resources=VCPU:1&resources_A=MEMORY_MB:1&group_policy=none'):
        keep('/allocation_candidates?' + query)
    return found


def normal(value):
    """Lists whose order means nothing, in order."""
    if isinstance(value, dict):
        return {key: normal(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return sorted((normal(entry) for entry in value), key=lambda entry: json.dumps(entry, sort_keys=True))
    return value


def differences(one, other):
    one, other = normal(everything(one)), normal(everything(other))
    return len(one), [(path, one.get(path), other.get(path)) for path in sorted(set(one) | set(other))
                      if one.get(path) != other.get(path)]


class Berthing:
    """Berth's commands."""

    def __init__(self, binary):
        self.binary = binary

    def run(self, *arguments):
        return subprocess.run([self.binary, *map(str, arguments)], check=True, capture_output=True, text=True)

    def dump(self, database, dump):
        """What `sqlite3 DATABASE < QUERY > DUMP` does."""
        query = self.run('import-placement', '--print-query', 'sqlite').stdout
        connection = sqlite3.connect('file:%s?mode=ro' % database, uri=True)
        with open(dump, 'w', encoding='utf-8') as out:
            for statement in query.split(';\n'):
                for row in connection.execute(statement):
                    out.write(row[0] + '\n')
        connection.close()

    def digest(self, *arguments):
        done = self.run(*arguments)
        return (done.stdout + done.stderr).splitlines()

    def restore(self, script, database):
        """What `sqlite3 DATABASE < SCRIPT` does."""
        text = script.read_text(encoding='utf-8').removeprefix('.bail on\n')
        connection = sqlite3.connect(database)
        connection.executescript(text)
        connection.close()


class Checks:
    def __init__(self):
        self.failed = self.passed = 0

    def holds(self, what, good, detail=''):
        self.passed += bool(good)
        self.failed += not good
        print('%s  %s%s' % ('ok' if good else 'FAILED', what, '' if good else ': %s' % (detail,)), flush=True)


def record(directory, into):
    """Keeps the dump and the tables for the tests that run without Python."""
    schema = sqlite3.connect(directory / 'old/placement.db').execute(
        'SELECT sql FROM sqlite_master WHERE sql IS NOT NULL')
    (into / 'placement-16.sql').write_text(''.join(row[0] + ';\n' for row in schema))
    (into / 'placement-16.jsonl').write_text((directory / 'dump.jsonl').read_text())


def round_trip(checks, options, directory, running):
    berthing, data = Berthing(options.berth), directory / 'data'
    (directory / 'old').mkdir()
    old = original(directory / 'old')
    running.append(old)
    fill_by_hand(old)
    fill(old, options.seed, options.steps)
    berthing.dump(directory / 'old/placement.db', directory / 'dump.jsonl')
    if options.record:
        record(directory, pathlib.Path(options.record))
        return
    imported = berthing.digest('import-placement', directory / 'dump.jsonl', '--data', data)
    print('\n'.join(imported))
    service = berth(options.berth, data)
    running.append(service)
    paths, differ_by = differences(old, service)
    checks.holds('%d answers of Placement and of Berth are the same' % paths, not differ_by, differ_by[:3])
    fill(service, options.seed + 1, options.steps)
    checks.holds('Berth shuts down gracefully', service.stop() == 0)
    old.stop()
    export = directory / 'back.sql'
    exported = berthing.digest('export-placement', '--data', data, '--to', 'sqlite', '--output', export)
    checks.holds('the data has changed since the import', exported[-1] != imported[-1])
    service = berth(options.berth, data)
    running.append(service)
    (directory / 'new').mkdir()
    empty = original(directory / 'new')
    empty.stop()
    for name in ('old', 'new'):
        database = directory / name / 'placement.db'
        berthing.restore(export, database)
        berthing.dump(database, directory / 'again.jsonl')
        again = berthing.digest('import-placement', directory / 'again.jsonl')
        checks.holds('the %s database has the digest of Berth' % name, again == exported, (again, exported))
        back = original(directory / name)
        running.append(back)
        paths, differ_by = differences(service, back)
        checks.holds('%d answers of Berth and of Placement on the %s one are the same' % (paths, name),
                     not differ_by, differ_by[:3])
        provider = {'name': 'one more', 'uuid': '00000000-0000-4000-a000-000000000000'}
        checks.holds('Placement on the %s database creates another provider' % name,
                     back.call('POST', '/resource_providers', provider)[0] == 200)
        made = back.get('/resource_providers/' + provider['uuid'])
        checks.holds('the provider is the root of its tree', made['root_provider_uuid'] == provider['uuid'])


def main():
    if sys.argv[1:2] == ['--serve-original']:
        return serve_original(sys.argv[2], int(sys.argv[3]))
    parser = argparse.ArgumentParser(description='From a real Placement to Berth and back.')
    parser.add_argument('--berth', default=os.environ.get('BERTH', 'target/release/berth'))
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--steps', type=int, default=400)
    parser.add_argument('--record', metavar='DIRECTORY',
                        help='only write the dump and the tables there, for the tests in Rust')
    options = parser.parse_args()
    random.seed(options.seed)
    checks, running = Checks(), []
    with tempfile.TemporaryDirectory(prefix='berth-migration-') as directory:
        try:
            round_trip(checks, options, pathlib.Path(directory), running)
        finally:
            for service in running:
                if service.process.poll() is None:
                    service.stop()
    print('%d passed, %d failed' % (checks.passed, checks.failed))
    return 1 if checks.failed else 0


if __name__ == '__main__':
    sys.exit(main())
