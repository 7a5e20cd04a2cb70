#!/usr/bin/env python3
"""Measures Berth and the real Nova alternately on the same cases.

    nova/bin/python benches/peers/compare_nova.py --oracle oracle.py plain:1000 plain:10000 group:1000 numa:1000

Every round measures Berth (`berth bench run --suite nova`) and then Nova (`nova_peer.py`), so that both meet the same
machine. Prints the medians over the rounds, and the median of the rounds' ratios. Berth's times are read from a wall
clock, Nova's are CPU time: other load on the machine counts against Berth alone.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

NOVA = pathlib.Path(__file__).with_name('nova_peer.py')
SEARCHES = ('ranked', 'counted', 'exhaustive')


def run(command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def berth(arguments, variant, hosts, directory):
    """Returns the median nanoseconds of each search."""
    result = directory / 'berth.json'
    run([arguments.berth, 'bench', 'run', '--suite', 'nova', '--variant', variant, '--hosts', hosts,
         '--rounds', '1', '--json', str(result)])
    rows = json.loads(result.read_text(encoding='utf-8'))['rows']
    return {row['parameters']['search']: row['p50'] for row in rows}


def nova(arguments, case):
    """Returns the median nanoseconds of filtering and weighing together."""
    line = run([sys.executable, str(NOVA), '--oracle', arguments.oracle, '--samples', str(arguments.samples), str(case)])
    return 1e6 * json.loads(line)['decision_ms']


def compare(arguments, variant, hosts, directory):
    """Returns a row of the table."""
    case = directory / 'case.json'
    case.write_text(run([arguments.berth, 'bench', 'nova-case', '--variant', variant, '--hosts', hosts]), encoding='utf-8')
    rounds = [(berth(arguments, variant, hosts, directory), nova(arguments, case)) for _ in range(arguments.rounds)]
    row = [variant, hosts, f'{statistics.median(there for _, there in rounds) / 1e6:.0f} ms']
    for search in SEARCHES:
        if search not in rounds[0][0]:
            row += ['', '']
            continue
        row.append(f'{statistics.median(here[search] for here, _ in rounds) / 1e3:.1f} µs')
        row.append(f'{statistics.median(there / here[search] for here, there in rounds):,.0f}')
    return row


def main():
    parser = argparse.ArgumentParser(description='Compares Berth with the real Nova; run it with a Python that has nova.')
    parser.add_argument('--berth', default='target/release/berth', metavar='FILE', help='default: target/release/berth')
    parser.add_argument('--oracle', required=True, metavar='FILE', help='see nova_peer.py')
    parser.add_argument('--rounds', type=int, default=3, metavar='R', help='default: 3')
    parser.add_argument('--samples', type=int, default=5, metavar='N', help="Nova's decisions per round (default 5)")
    parser.add_argument('cases', nargs='+', metavar='VARIANT:HOSTS', help='such as plain:10000')
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error('--rounds: at least 1')
    print('| variant | hosts | Nova, CPU |' + ''.join(f' {search} | ratio |' for search in SEARCHES))
    print('|---' * (3 + 2 * len(SEARCHES)) + '|')
    with tempfile.TemporaryDirectory() as directory:
        for text in arguments.cases:
            variant, _, hosts = text.partition(':')
            row = compare(arguments, variant, hosts, pathlib.Path(directory))
            print('| ' + ' | '.join(row) + ' |', flush=True)


if __name__ == '__main__':
    main()
