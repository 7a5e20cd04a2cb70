#!/usr/bin/env python3
"""Berth's authentication against a real Keystone: SQLite, Fernet tokens, on loopback.

Run it with the Python of an environment that has Keystone (requirements.txt beside this file):

  run_keystone.py --berth target/release/berth

Prints a line for each check and 'N passed, N failed'.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

CACHE_SECONDS = 4
SHORT_LIVED = 6
PASSWORD = 'not a secret'

# Keystone reads the command line when it is loaded.
SERVE = '''
import sys
port = int(sys.argv.pop())
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from socketserver import ThreadingMixIn
from keystone.wsgi.api import application
class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
class Handler(WSGIRequestHandler):
    def log_message(self, *args):
        pass
make_server('127.0.0.1', port, application, Server, Handler).serve_forever()
'''


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def call(method, url, headers=None, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = dict(headers or {}, **({'Content-Type': 'application/json'} if data else {}))
    request = urllib.request.Request(url, data, headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def wait_for(url, process):
    for _ in range(300):
        if process.poll() is not None:
            sys.exit('%s: the process ended with %s' % (url, process.returncode))
        try:
            return call('GET', url)
        except OSError:
            time.sleep(0.1)
    sys.exit('%s does not answer' % url)


class Keystone:
    """A Keystone of our own, and its administrator."""

    def __init__(self, directory):
        self.directory = directory
        self.port = free_port()
        self.url = 'http://127.0.0.1:%d/v3' % self.port
        self.tokens = []
        self.environment = dict(os.environ, OS_KEYSTONE_CONFIG_DIR=str(directory))
        self.process = None
        self.configure(3600)
        manage = pathlib.Path(sys.executable).parent / 'keystone-manage'
        user = ['--keystone-user', str(os.getuid()), '--keystone-group', str(os.getgid())]
        config = ['--config-file', str(directory / 'keystone.conf')]
        for command in (['db_sync'], ['fernet_setup'] + user,
                        ['bootstrap', '--bootstrap-password', PASSWORD,
                         '--bootstrap-public-url', self.url]):
            subprocess.run([sys.executable, str(manage)] + config + command, check=True,
                           env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.start()
        self.admin = self.token('admin', 'admin')
        found = json.loads(self.ask('GET', '/roles')[2])
        self.roles = {role['name']: role['id'] for role in found['roles']}

    def configure(self, expiration):
        (self.directory / 'keystone.conf').write_text(
            '[database]\nconnection = sqlite:///%s/keystone.db\n[token]\nprovider = fernet\n'
            'expiration = %d\nallow_expired_window = 0\n[fernet_tokens]\nkey_repository = %s/keys\n'
            % (self.directory, expiration, self.directory))

    def start(self):
        log = open(self.directory / 'keystone.log', 'ab')
        self.process = subprocess.Popen([sys.executable, '-c', SERVE, str(self.port)],
                                        env=self.environment, stdout=log, stderr=log)
        wait_for(self.url, self.process)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def ask(self, method, path, body=None):
        answer = call(method, self.url + path, {'X-Auth-Token': self.admin}, body)
        if answer[0] >= 400:
            sys.exit('Keystone answers %s %s with %s' % (method, path, answer))
        return answer

    def make(self, kind, **values):
        made = json.loads(self.ask('POST', '/%ss' % kind, {kind: values})[2])
        return made[kind]['id']

    def user(self, name, project, roles):
        """A user with these roles in the project."""
        user = self.make('user', name=name, password=PASSWORD, domain_id='default')
        for role in roles:
            self.ask('PUT', '/projects/%s/users/%s/roles/%s' % (project, user, self.roles[role]))
        return user

    def token(self, user, project=None, system=False):
        domain = {'name': 'Default'}
        identity = {'methods': ['password'],
                    'password': {'user': {'name': user, 'domain': domain, 'password': PASSWORD}}}
        auth = {'identity': identity}
        if project:
            auth['scope'] = {'project': {'name': project, 'domain': domain}}
        if system:
            auth['scope'] = {'system': {'all': True}}
        status, headers, body = call('POST', self.url + '/auth/tokens', body={'auth': auth})
        if status != 201:
            sys.exit('no token for %s: %s %s' % (user, status, body))
        self.tokens.append(headers['X-Subject-Token'])
        return headers['X-Subject-Token']


class Berth:
    """A Berth that believes the Keystone."""

    def __init__(self, binary, directory, keystone, password):
        directory.mkdir()
        port = free_port()
        self.url = 'http://127.0.0.1:%d' % port
        (directory / 'password').write_text(password + '\n')
        (directory / 'berth.toml').write_text(
            '[serve]\nlisten = "127.0.0.1:%d"\ngrpc_listen = "127.0.0.1:0"\ndata = "none"\nauth = "keystone"\nlog = "debug"\npolicy = "secure"\n'
            '[serve.keystone]\nauth_url = "%s"\nwww_authenticate_uri = "https://identity.example"\n'
            'password_file = "%s/password"\ntoken_cache_time = %d\n'
            % (port, keystone.url, directory, CACHE_SECONDS))
        self.log = directory / 'log'
        environment = {name: value for name, value in os.environ.items() if not name.startswith('BERTH_')}
        self.process = subprocess.Popen([binary, 'serve', '--config', str(directory / 'berth.toml')],
                                        stdout=subprocess.DEVNULL, stderr=open(self.log, 'wb'),
                                        env=environment)
        wait_for(self.url, self.process)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def get(self, path, token=None):
        return call('GET', self.url + path, {
            'OpenStack-API-Version': 'placement 1.39', **({'X-Auth-Token': token} if token else {})})

    def status(self, path, token=None):
        return self.get(path, token)[0]

    def validations(self, outcome):
        name = 'berth_keystone_validations_total{outcome="%s"} ' % outcome
        lines = self.get('/metrics')[2].decode().splitlines()
        return sum(int(line.removeprefix(name)) for line in lines if line.startswith(name))


class Checks:
    def __init__(self):
        self.failed = self.passed = 0

    def equal(self, what, found, wanted):
        good = found == wanted
        self.passed += good
        self.failed += not good
        print('%s  %s%s' % ('ok' if good else 'FAILED', what,
                            '' if good else ': %r instead of %r' % (found, wanted)), flush=True)


def check_roles(checks, keystone, berth, project):
    keystone.user('service-user', project, ['service'])
    keystone.user('reader', project, ['reader'])
    keystone.user('nobody', project, [])
    headers = berth.get('/resource_providers')[1]
    checks.equal('a challenge', headers['WWW-Authenticate'], 'Keystone uri="https://identity.example"')
    checks.equal('no token', berth.status('/resource_providers'), 401)
    checks.equal('a token of nobody', berth.status('/resource_providers', 'gAAAAABnonsense'), 401)
    checks.equal('versions without a token', berth.status('/'), 200)
    usages = '/usages?project_id='
    for user, token, listed, used in (
            ('admin', keystone.token('admin', 'admin'), 200, 200),
            ('service', keystone.token('service-user', 'work'), 200, 200),
            ('reader', keystone.token('reader', 'work'), 403, 200),
            ('no roles', keystone.token('nobody'), 403, 403),
            ('admin of the system', keystone.token('admin', system=True), 403, 403)):
        checks.equal('%s lists providers' % user, berth.status('/resource_providers', token), listed)
        checks.equal('%s asks for usages' % user, berth.status(usages + project, token), used)
        checks.equal('%s, in another project' % user, berth.status(usages + 'other', token),
                     403 if user == 'reader' else used)


def check_revoked(checks, keystone, berth):
    token = keystone.token('service-user', 'work')
    checks.equal('before it is revoked', berth.status('/traits', token), 200)
    call('DELETE', keystone.url + '/auth/tokens', {'X-Auth-Token': keystone.admin, 'X-Subject-Token': token})
    checks.equal('revoked, but remembered', berth.status('/traits', token), 200)
    time.sleep(CACHE_SECONDS + 1)
    checks.equal('revoked and forgotten', berth.status('/traits', token), 401)


def check_flood(checks, keystone, berth):
    token, before = keystone.token('service-user', 'work'), berth.validations('valid')
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        statuses = set(pool.map(lambda _: berth.status('/traits', token), range(200)))
    checks.equal('200 requests with one token', statuses, {200})
    checks.equal('one question to Keystone', berth.validations('valid') - before, 1)


def check_down(checks, keystone, berth):
    known, fresh = keystone.token('service-user', 'work'), keystone.token('service-user', 'work')
    checks.equal('before Keystone stops', berth.status('/traits', known), 200)
    keystone.stop()
    checks.equal('a known token while Keystone is down', berth.status('/traits', known), 200)
    checks.equal('a new token while Keystone is down', berth.status('/traits', fresh), 503)
    keystone.configure(SHORT_LIVED)
    keystone.start()
    time.sleep(1.1)
    checks.equal('when Keystone is back', berth.status('/traits', fresh), 200)


def check_expired(checks, keystone, berth):
    """Keystone gives out short-lived tokens now, to Berth too: it has to renew its own."""
    for turn in ('first', 'second'):
        token = keystone.token('service-user', 'work')
        checks.equal('a short-lived token, %s' % turn, berth.status('/traits', token), 200)
        time.sleep(SHORT_LIVED + 1)
        checks.equal('the %s, expired' % turn, berth.status('/traits', token), 401)


def check_wrong_password(checks, keystone, berth):
    checks.equal('a wrong password of the service', berth.status('/traits', keystone.token('admin', 'admin')), 503)
    said = "refuses the service user's name, password or project (status 401 Unauthorized)"
    checks.equal('the log says so', said in berth.log.read_text(), True)


def main():
    parser = argparse.ArgumentParser(description='Berth and a real Keystone.')
    parser.add_argument('--berth', default=os.environ.get('BERTH', 'target/release/berth'))
    options = parser.parse_args()
    checks, running = Checks(), []
    with tempfile.TemporaryDirectory(prefix='berth-keystone-') as directory:
        directory = pathlib.Path(directory)
        (directory / 'keystone').mkdir()
        try:
            keystone = Keystone(directory / 'keystone')
            running.append(keystone)
            service = keystone.make('project', name='service', domain_id='default')
            keystone.user('placement', service, ['service'])
            project = keystone.make('project', name='work', domain_id='default')
            berth = Berth(options.berth, directory / 'berth', keystone, PASSWORD)
            running.append(berth)
            check_roles(checks, keystone, berth, project)
            check_revoked(checks, keystone, berth)
            check_flood(checks, keystone, berth)
            check_down(checks, keystone, berth)
            check_expired(checks, keystone, berth)
            wrong = Berth(options.berth, directory / 'wrong', keystone, 'wrong')
            running.append(wrong)
            check_wrong_password(checks, keystone, wrong)
            logs = berth.log.read_text() + wrong.log.read_text()
            leaked = [token for token in keystone.tokens + [PASSWORD] if token in logs]
            checks.equal('tokens and passwords in the log', leaked, [])
        finally:
            for process in running:
                process.stop()
    print('%d passed, %d failed' % (checks.passed, checks.failed))
    return 1 if checks.failed else 0


if __name__ == '__main__':
    sys.exit(main())
