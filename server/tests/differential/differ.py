#!/usr/bin/env python3
"""Random requests to Berth and to the original, and a word on every answer that differs.

The original runs in this process on an SQLite file, so this needs the whole package and its dependencies:

  python3 -m venv v; v/bin/pip install openstack-placement==16.0.0
  v/bin/python differ.py --seed 1 --steps 2000 --berth target/release/berth

Statuses have to be equal, and so have bodies, but for order where the API promises none, times, and
request ids. Of errors the code is compared, and with --texts whether the original says what Berth says.
At the end everything that either server shows is compared. Exit status 0 if nothing differed but what
docs/conformance.md lists as known; that is counted.
"""
import argparse
import json
import sys
import tempfile
from collections import Counter

import comparison
from generator import PROVIDERS, Requests
from servers import Berth, Original


def main():
    parser = argparse.ArgumentParser(description='Random requests to Berth and to the original.')
    parser.add_argument('--berth', default='target/release/berth', help='the binary')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--steps', type=int, default=2000)
    parser.add_argument('--texts', action='store_true', help='also compare how error texts begin')
    parser.add_argument('--known', action='store_true', help='also print the differences that are known')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        original, berth = Original(directory), Berth(options.berth)
        try:
            sys.exit(Run(options, original, berth).run())
        finally:
            berth.stop()


class Run:
    def __init__(self, options, original, berth):
        self.options, self.original, self.berth = options, original, berth
        self.statuses, self.known, self.differences, self.candidates = Counter(), Counter(), 0, 0

    def both(self, method, path, body, minor, more=None):
        """The answers of both; a body of bytes is sent as it is, and `more` are headers in place of the usual ones."""
        headers = {'X-Auth-Token': 'admin', 'Accept': 'application/json',
                   'OpenStack-API-Version': 'placement 1.%d' % minor}
        data = body
        if body is not None:
            headers['Content-Type'] = 'application/json'
            if not isinstance(body, bytes):
                # Objects have no order, and Berth reads them by name.
                data = json.dumps(body, sort_keys=True).encode()
        headers.update(more or {})
        return self.berth.call(method, path, headers, data), self.original.call(method, path, headers, data)

    def ask(self, path):
        (status, body, _), _ = self.both('GET', path, None, 39)
        return json.loads(body) if status == 200 else {}

    def step(self, name, request):
        """Does the same to both; returns the original's status."""
        ours, theirs = self.both(*request)
        self.statuses[theirs[0]] += 1
        self.candidates += theirs[1].count(b'"mappings"')
        what, is_known = comparison.compare(request, ours, theirs, self.options.texts)
        self.known[what] += is_known
        self.differences += bool(what) and not is_known
        if what and (self.options.known or not is_known):
            method, path, body, minor = request[:4]
            print('%s: %s differs: 1.%d %s %s %s' % (name, what, minor, method, path, body))
            print('  ours:   %d %s' % (ours[0], ours[1][:1500].decode()))
            print('  theirs: %d %s' % (theirs[0], theirs[1][:1500].decode()))
        return theirs[0]

    def run(self):
        requests = Requests(self.options.seed, self.ask)
        for request in requests.start():
            self.step('the start', request)
        for number in range(self.options.steps):
            method, path, body, minor = requests.next()
            request = method, path, body, minor, requests.headers()
            status = self.step('step %d' % number, request)
            if status >= 400 and body and path.startswith(('/allocations', '/reshaper')):
                requests.retire([path, str(body)])
        for path in everything(requests.consumers):
            self.step('the end', ('GET', path, None, 39))
        print('seed %d: %d requests, %d candidates, %d differences; known: %s; statuses %s' % (
            self.options.seed, sum(self.statuses.values()), self.candidates, self.differences,
            dict(+self.known), dict(sorted(self.statuses.items()))))
        return 1 if self.differences else 0


def everything(consumers):
    """Paths that show all there is."""
    yield from ('/resource_providers', '/resource_classes', '/traits')
    for provider in PROVIDERS:
        for part in ('inventories', 'usages', 'aggregates', 'allocations', 'traits'):
            yield '/resource_providers/%s/%s' % (provider, part)
    for consumer in consumers:
        yield '/allocations/' + consumer
    for project in ('p1', 'p2'):
        yield '/usages?project_id=%s&consumer_type=all' % project


if __name__ == '__main__':
    main()
