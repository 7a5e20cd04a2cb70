"""The two servers: the original as a function, Berth over HTTP."""
import http.client
import os
import socket
import subprocess
import time
import warnings


class Original:
    """Placement on a database of its own, called as a function."""

    def __init__(self, directory):
        warnings.simplefilter('ignore')
        from oslo_config import cfg
        from oslo_policy import opts as policy_options
        from placement import conf, deploy
        from placement.db_api import configure
        config = cfg.ConfigOpts()
        conf.register_opts(config)
        url = 'sqlite:///' + os.path.join(directory, 'placement.db')
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
            [binary, 'serve', '--listen', '127.0.0.1:%d' % self.port, '--grpc-listen', '127.0.0.1:0', '--data', 'none'], stderr=subprocess.DEVNULL)
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
