#!/usr/bin/env python3
"""Compares Berth with the real Nova on random cases, seed after seed.

    python fuzz.py ORACLE VECTORS [--seed N] [--rounds N] [--cases N] [--python PYTHON] [--keep-failed FILE]

VECTORS is the built example `nova_vectors`. A case whose answer depends on Python's hash seed is not Nova's answer but
chance: what differs is asked again with other seeds, and only what stays the same counts.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile

import scheduler_cases


def failed_ids(vectors, records):
    with tempfile.NamedTemporaryFile('w', suffix='.jsonl') as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + '\n' for record in records)
        file.flush()
        done = subprocess.run([vectors, file.name], capture_output=True, text=True)
    return set(re.findall(r'^(fuzz-\S+) \(', done.stdout, re.M)), done.stdout


def is_stable(options, record):
    for seed in ('0', '1', '2', '3'):
        environment = dict(os.environ, PYTHONHASHSEED=seed)
        answers = scheduler_cases.records(options.python, options.oracle, [record['input']], environment)
        if not answers or answers[0]['expected'] != record['expected']:
            return False
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('oracle')
    parser.add_argument('vectors')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=1)
    parser.add_argument('--cases', type=int, default=500)
    parser.add_argument('--python', default=sys.executable)
    parser.add_argument('--keep-failed')
    options = parser.parse_args()
    asked = failed = 0
    for seed in range(options.seed, options.seed + options.rounds):
        rng = random.Random(seed)
        cases = [scheduler_cases.case(rng, number) for number in range(options.cases)]
        for one in cases:
            one['id'] = 'fuzz-%d-%s' % (seed, one['id'].split('-')[1])
        records = scheduler_cases.records(options.python, options.oracle, cases)
        ids, text = failed_ids(options.vectors, records)
        wrong = [record for record in records if record['id'] in ids and is_stable(options, record)]
        asked, failed = asked + len(records), failed + len(wrong)
        for record in wrong:
            print(text[text.index(record['id'] + ' ('):].split('\nfuzz-')[0][:2000])
            if options.keep_failed:
                with open(options.keep_failed, 'a') as out:
                    out.write(json.dumps(record, ensure_ascii=False) + '\n')
        print('seed %d: %d cases so far, %d differ' % (seed, asked, failed), flush=True)
    sys.exit(failed > 0)


if __name__ == '__main__':
    main()
