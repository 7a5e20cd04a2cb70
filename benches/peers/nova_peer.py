#!/usr/bin/env python3
"""Runs the real Nova on cases of `berth bench nova-case`.

    python3 -m venv nova && nova/bin/pip install nova==34.0.0
    berth bench nova-case --variant plain --hosts 1000 > plain.json
    nova/bin/python benches/peers/nova_peer.py --oracle oracle.py plain.json

The oracle is a module that builds Nova's objects from a case: `Env(case)`, a context manager with the host
manager `hm` and `host_states()`, and `build_request(request)`.

Checks that the hosts that Nova leaves, their order and their weights are those that Berth wrote beside the case, to the
last bit, then measures the CPU
time of Nova's filtering and weighing: fresh host states and a fresh request for every sample, made before the clock
starts. Prints one line of JSON for each case; exit code 1 if an answer differs.
"""

import argparse
import importlib.util
import json
import statistics
import sys
import time


def load_oracle(path):
    spec = importlib.util.spec_from_file_location('oracle', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def timed(work):
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def decide(oracle, env, request):
    """Makes one decision; returns the seconds of filtering and of weighing, and the hosts, best first."""
    states = env.host_states()
    spec = oracle.build_request(request)
    filtering, left = timed(lambda: list(env.hm.get_filtered_hosts(states, spec, 0)))
    weighing, weighed = timed(lambda: env.hm.get_weighed_hosts(left, spec))
    position = {(state.host, state.nodename): at for at, state in enumerate(states)}
    return filtering, weighing, [[position[w.obj.host, w.obj.nodename], w.weight] for w in weighed]


def difference(order, berth):
    """Returns the first difference to Berth's answer, or None."""
    if len(order) != berth['left']:
        return f"{len(order)} hosts are left, Berth has {berth['left']}"
    for place, (here, there) in enumerate(zip(order, berth['order'], strict=True), 1):
        if here != there:
            return f"number {place} is host {here[0]} with weight {here[1]}, Berth has {there[0]} with {there[1]}"
    return None


def measure(oracle, document, samples):
    case = document['input']
    with oracle.Env(case) as env:
        *_, order = decide(oracle, env, case['request'])
        wrong = difference(order, document['berth'])
        if wrong:
            sys.exit(f"{document['id']}: {wrong}")
        times = [decide(oracle, env, case['request'])[:2] for _ in range(samples)]
    milliseconds = [[1e3 * seconds for seconds in pair] for pair in times]
    filtering, weighing = zip(*milliseconds)
    return {
        'id': document['id'], 'hosts': len(case['hosts']), 'left': len(order), 'samples': samples,
        'best': order[0][0] if order else None,
        'filter_ms': statistics.median(filtering), 'weigh_ms': statistics.median(weighing),
        'decision_ms': statistics.median(map(sum, milliseconds)),
    }


def main():
    parser = argparse.ArgumentParser(description='Times the real Nova on cases of berth bench nova-case.')
    parser.add_argument('--oracle', required=True, metavar='FILE', help='the module that builds Nova objects from a case')
    parser.add_argument('--samples', type=int, default=10, metavar='N', help='decisions to measure per case (default 10)')
    parser.add_argument('cases', nargs='+', metavar='CASE', help='output of berth bench nova-case')
    arguments = parser.parse_args()
    if arguments.samples < 1:
        parser.error('--samples: at least 1')
    oracle = load_oracle(arguments.oracle)
    for path in arguments.cases:
        with open(path, encoding='utf-8') as file:
            document = json.load(file)
        print(json.dumps(measure(oracle, document, arguments.samples)), flush=True)


if __name__ == '__main__':
    main()
