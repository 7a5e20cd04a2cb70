#!/usr/bin/env python3
"""Nova's own functional tests with Berth in the place of Placement.

They come with the package of Nova and run unmodified, except that the fixture which serves Placement from the tests' own process
starts a Berth for each test instead, below a path as deployments have it:

  python3 -m venv v; v/bin/pip install -r requirements.txt
  v/bin/python run_nova.py --berth target/release/berth            # --original: the control, with Placement itself
  v/bin/python run_nova.py --berth target/release/berth test_report_client

Exit status 0 if every test passed or was skipped by Nova itself.
"""
import argparse
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
import unittest
import urllib.error
import urllib.request

PACKAGE = 'nova.tests.functional.'

# The tests in which what Placement answers matters most.
MODULES = ['test_report_client', 'test_servers_provider_tree', 'test_servers_resource_request', 'test_routed_networks',
           'test_server_group', 'test_scheduler', 'test_aggregates', 'test_availability_zones', 'test_cold_migrate',
           'compute.test_resource_tracker', 'libvirt.test_pci_in_placement']


def prepare():
    """Puts Nova's own configuration where its tests look for it: beside the package."""
    import sysconfig
    link = os.path.join(sysconfig.get_path('purelib'), 'etc')
    if not os.path.exists(link):
        os.symlink(os.path.join(sys.prefix, 'etc'), link)


class Berth:
    """A server of ours for one test."""

    def __init__(self, binary):
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        self.endpoint = 'http://127.0.0.1:%d/placement' % port
        self.process = subprocess.Popen(
            [binary, 'serve', '--listen', '127.0.0.1:%d' % port, '--grpc-listen', '127.0.0.1:0', '--data', 'none',
             '--set', 'serve.public_url=' + self.endpoint], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(1000):
            try:
                urllib.request.urlopen(self.endpoint, timeout=10).close()
                return
            except urllib.error.URLError:
                time.sleep(0.01)
        raise RuntimeError('berth does not listen')

    def stop(self):
        self.process.kill()
        self.process.wait()


def replace_placement(binary):
    """Makes Nova's fixture one that serves Berth. To be called before Nova's tests are imported."""
    import fixtures
    from oslo_config import cfg
    from oslo_config import fixture as config_fixture
    from placement import conf
    from placement.tests.functional.fixtures import placement

    class PlacementFixture(fixtures.Fixture):
        def __init__(self, token='admin', conf_fixture=None, db=True, use_intercept=True, register_opts=True):
            self.token, self.db, self.conf_fixture = token, db, conf_fixture

        def _configure_placement(self, conf_fixture):
            """Nova's subclass extends it."""

        def setUp(self):
            super().setUp()
            if not self.conf_fixture:
                # Nova's PCI tests set options of Placement on it. Berth needs none of them.
                self.conf_fixture = self.useFixture(config_fixture.Config(cfg.ConfigOpts()))
                conf.register_opts(self.conf_fixture.conf)
            berth = Berth(binary)
            self.addCleanup(berth.stop)
            self.endpoint = berth.endpoint

    placement.PlacementFixture = PlacementFixture


class Result(unittest.TestResult):
    """Prints one line of JSON for each test."""

    def report(self, test, outcome, text=''):
        print(json.dumps({'test': test.id(), 'outcome': outcome, 'text': str(text)}), file=self.out, flush=True)

    def addSuccess(self, test, details=None):
        self.report(test, 'passed')

    def addSkip(self, test, reason=None, details=None):
        self.report(test, 'skipped', reason or details)

    def addError(self, test, err=None, details=None):
        self.report(test, 'failed', self.explain(test, err, details))

    def addExpectedFailure(self, test, err=None, details=None):
        self.report(test, 'passed')

    addFailure = addUnexpectedSuccess = addError

    def explain(self, test, err, details):
        if details:
            return '\n'.join(each.as_text() for name, each in details.items() if name.startswith('traceback'))
        return self._exc_info_to_string(err, test)


def work(options):
    """Runs the classes that standard input names, one a line; what they print themselves goes to standard error."""
    out = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    if not options.original:
        replace_placement(os.path.abspath(options.berth))
    result = Result()
    result.out = out
    for line in sys.stdin:
        unittest.defaultTestLoader.loadTestsFromName(line.strip()).run(result)
        print(json.dumps({'done': line.strip()}), file=out, flush=True)


def classes(options):
    """The names of all classes with tests."""
    found = []
    for name in options.modules or MODULES:
        names = subprocess.run([sys.executable, __file__, '--list', name], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, check=True).stdout.split()
        found += [each for each in names if options.only in each]
    return found


def list_classes(module):
    out = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    suites, names = [unittest.defaultTestLoader.loadTestsFromName(PACKAGE + module)], []
    while suites:
        each = suites.pop()
        if isinstance(each, unittest.TestCase):
            names.append(each.id().rsplit('.', 1)[0] if '(' not in each.id() else each.id())
        else:
            suites.extend(each)
    print('\n'.join(sorted(set(names))), file=out)


def run(options):
    prepare()
    waiting, tests = queue.Queue(), []
    for name in classes(options):
        waiting.put(name)

    def worker():
        command = [sys.executable, __file__, '--work', '--berth', options.berth] + ['--original'] * options.original
        log = open(options.log, 'a') if options.log else subprocess.DEVNULL
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        while True:
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                break
            print(name, file=child.stdin, flush=True)
            for line in child.stdout:
                line = json.loads(line)
                if 'done' in line:
                    break
                tests.append(line)
                print('%-7s %s' % (line['outcome'], line['test'][len(PACKAGE):]), flush=True)
            else:
                tests.append({'test': name, 'outcome': 'failed', 'text': 'the process ended'})
                break
        child.stdin.close()
        child.wait()

    workers = [threading.Thread(target=worker) for _ in range(options.jobs)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    failed = [each for each in tests if each['outcome'] == 'failed']
    for each in failed:
        print('\n%s\n%s' % (each['test'], each['text']))
    ran = [each for each in tests if each['outcome'] != 'skipped']
    print('%s: %d of %d passed, %d skipped by Nova' % (
        'Placement' if options.original else 'Berth', len(ran) - len(failed), len(ran), len(tests) - len(ran)))
    return 1 if failed or not ran else 0


def main():
    parser = argparse.ArgumentParser(description="Nova's own functional tests with Berth in the place of Placement.")
    parser.add_argument('modules', nargs='*', help='modules below nova.tests.functional; all of the list without')
    parser.add_argument('--berth', default=os.environ.get('BERTH', 'target/release/berth'), help='the binary')
    parser.add_argument('--original', action='store_true', help='leave Placement in its place: the control')
    parser.add_argument('--only', default='', help='classes whose names contain this')
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--log', help='a file for what the tests print')
    parser.add_argument('--list', metavar='MODULE', help=argparse.SUPPRESS)
    parser.add_argument('--work', action='store_true', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.list:
        return list_classes(options.list)
    return work(options) if options.work else run(options)


if __name__ == '__main__':
    sys.exit(main())
