#!/usr/bin/env python3
"""Random cases in which numbers are written in every way that Python reads, and in some that it refuses.

    python number_cases.py ORACLE OUT.jsonl.gz QUERIES.jsonl.gz [--seed N] [--cases N] [--keep N] [--python PYTHON]

ORACLE answers cases as for scheduler_cases.py. OUT holds cases of the scheduler with numbers in aggregate metadata, extra
specs, image properties, hints, server groups and what hosts report, some with the request as it is on Nova's message
bus; QUERIES holds cases of the Placement query, which Nova answers through placement_query.py.
"""

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import unicodedata

import scheduler_cases
from scheduler_cases import chance, pick

ZEROS = [code for code in range(sys.maxunicode + 1) if unicodedata.decimal(chr(code), None) == 0]
# White space for Python, and what looks like it and is none around a number.
SPACES = [' ', '\t', '\n', '\u00a0', '\u0085', '\u1680', '\u2003', '\u2028', '\u3000']
NO_SPACES = ['\x1c', '\x1f', '\u200b']
HUGE = ['9' * 19, '9' * 30, '-' + '9' * 30, str(2 ** 63), str(-2 ** 63), str(2 ** 64), '1' * 4300, '1' * 4301]
ODD = ['', ' ', '٣x', '²', '①', '＋3', '−3', '3_', '_3', '3__0', '3 0', '0x3', '٣.٠', 'ten', '三', '٣,٤', '3\u200b']
FLOATS = ['inf', '-inf', 'Infinity', '1e3', '١e٢', '٠.٥', '1_0.5', '.5', '5.', '-0', '1e400', '1e-400', '1٫5', '0x1p3']
LIMITS = {'AggregateNumInstancesFilter': 'max_instances_per_host', 'AggregateIoOpsFilter': 'max_io_ops_per_host'}


def sound(rng, number):
    """A number that Python reads: where it could not, Nova would refuse the whole case."""
    zero = rng.choice(ZEROS)
    text = ''.join(chr(zero + int(c)) if c.isdigit() else c for c in str(number))
    if chance(rng, 0.15):
        text = text[:1] + ('_' if text[1:] and text[0] != '-' else '') + text[1:]
    if chance(rng, 0.2):
        text = '+' * (not text.startswith('-')) + text
    return pick(rng, '', '', '', rng.choice(SPACES)) + text + pick(rng, '', '', '', rng.choice(SPACES))


def in_script(rng, number):
    text = sound(rng, number)
    return text if chance(rng, 0.9) else rng.choice(NO_SPACES) + text


def whole(rng, most=12):
    draw = rng.random()
    if draw < 0.75:
        return in_script(rng, rng.randint(-1 if chance(rng, 0.1) else 0, most))
    return rng.choice(HUGE if draw < 0.85 else ODD)


def real(rng):
    draw = rng.random()
    if draw < 0.5:
        return in_script(rng, pick(rng, rng.randint(0, 9), round(rng.uniform(-3, 5), 2)))
    return rng.choice(FLOATS) if draw < 0.8 else whole(rng)


def metadata(rng, made, key, number):
    for aggregate in made['aggregates']:
        if chance(rng, 0.7):
            aggregate['metadata'][key] = number(rng)


def limits(rng, made):
    name = rng.choice(list(LIMITS))
    made['filters'] = [name]
    metadata(rng, made, LIMITS[name], whole)
    for host in made['hosts']:
        host['stats'] = {'num_instances': str(rng.randint(0, 12)), 'io_workload': str(rng.randint(0, 12))}


def multipliers(rng, made):
    made.update(kind='weigher', weighers=rng.sample(scheduler_cases.WEIGHERS, 3), config={})
    for name in scheduler_cases.MULTIPLIERS:
        metadata(rng, made, name + '_weight_multiplier', real)


def operand(rng):
    return pick(rng, '', '', 's') + rng.choice(['=', '==', '!=', '>=', '<=', '<or>', '<in>']) + ' ' + real(rng)


def capabilities(rng, made):
    made['filters'] = ['ComputeCapabilitiesFilter']
    key = rng.choice(['free_ram_mb', 'capabilities:vcpus_total', 'capabilities:cpu_info:topology:cores', 'capabilities:cap'])
    made['request']['flavor']['extra_specs'] = {key: operand(rng)}
    for host in made['hosts']:
        host['stats']['cap'] = real(rng)


def aggregate_specs(rng, made):
    made['filters'] = ['AggregateInstanceExtraSpecsFilter']
    made['request']['flavor']['extra_specs'] = {'cap': operand(rng)}
    # One value for all: with several, the answer depends on the order of a set.
    value = real(rng)
    metadata(rng, made, 'cap', lambda rng: value)


def groups(rng, made):
    made['filters'] = ['ServerGroupAntiAffinityFilter']
    rule = whole(rng, 3)
    made['request']['instance_group'] = {
        'uuid': scheduler_cases.uuid(6, 1), 'policy': 'anti-affinity', 'rules': {'max_server_per_host': rule},
        'members': [one['uuid'] for host in made['hosts'] for one in host['instances']], 'hosts': []}


def images(rng, made):
    made['filters'] = ['AggregateImagePropertiesIsolation', 'ImagePropertiesFilter']
    name = rng.choice(['hw_cpu_cores', 'hw_numa_nodes', 'hw_video_ram', 'hw_boot_menu', 'hw_serial_port_count'])
    value = sound(rng, rng.choice([1, 2, 10 ** 20, 10 ** 30]))
    made['request']['image'] = {'id': scheduler_cases.uuid(4, 1), 'disk_format': 'raw', 'properties': {name: value}}
    metadata(rng, made, name, lambda rng: pick(rng, '1, 2', '2', value, 'True,False', str(10 ** 20), str(10 ** 30)))


def networks(rng, made):
    made['filters'] = ['SimpleCIDRAffinityFilter']
    made['request']['scheduler_hints'] = {
        'build_near_host_ip': [pick(rng, '10.0.0.1', '١٠.0.0.1', 'fe80::1')],
        'cidr': ['/' + pick(rng, whole(rng, 32), in_script(rng, 8), in_script(rng, 24))]}


def reports(rng, made):
    made['filters'] = ['NumInstancesFilter', 'IoOpsFilter', 'MetricsFilter']
    made['weighers'] = ['NumInstancesWeigher', 'IoOpsWeigher', 'BuildFailureWeigher', 'MetricsWeigher']
    made['config'] = {'metrics': {'weight_setting': ['cpu.frequency=' + sound(rng, 2)], 'required': False}}
    for host in made['hosts']:
        host['stats'] = {key: sound(rng, rng.randint(0, 12))
                         for key in ('num_instances', 'io_workload', 'failed_builds')}
        host['metrics'] = [{'name': 'cpu.frequency', 'value': pick(rng, 5, 2.9, sound(rng, 7)), 'source': 's',
                            'timestamp': '2026-05-31T23:00:00'}]


TOPICS = [limits, limits, multipliers, capabilities, aggregate_specs, groups, images, networks, reports]


def case(rng, number):
    hosts = scheduler_cases.hosts_of(rng, pick(rng, 2, 3, 4), True)
    made = {'schema': 'nova-sched-oracle/1', 'id': 'number-%d' % number, 'kind': 'filter', 'now': '2026-06-01T00:00:00',
            'config': {}, 'aggregates': [], 'hosts': hosts, 'request': scheduler_cases.request(rng, hosts), 'filters': [],
            'weighers': []}
    made['request']['scheduler_hints'] = {}
    made['request']['flavor']['extra_specs'] = {}
    made['aggregates'] = [{'id': n, 'uuid': scheduler_cases.uuid(5, n), 'name': 'agg%d' % n, 'metadata': {},
                           'hosts': sorted({host['host'] for host in hosts if chance(rng, 0.6)})}
                          for n in range(1, 1 + rng.randint(1, 3))]
    if chance(rng, 0.2):
        scheduler_cases.add_numa_and_devices(rng, made)
    topic = rng.choice(TOPICS)
    topic(rng, made)
    # Image properties may be beyond the numbers that readers of JSON keep exact.
    if topic is not images and chance(rng, 0.3):
        made['emit_wire'] = True
        if made['request'].get('instance_group'):
            made['request']['instance_group'].setdefault('uuid', scheduler_cases.uuid(6, 1))
    return made


def query(rng, number):
    import placement_query
    made = placement_query.case(rng, number)
    made['id'] = 'number-query-%d' % number
    specs = {'resources%s:%s' % (pick(rng, '', '', '1', '_A'), rng.choice(['VCPU', 'PCPU', 'DISK_GB', 'CUSTOM_X'])):
             whole(rng, 40) for _ in range(rng.randint(1, 3))}
    if chance(rng, 0.4):
        # Without the huge ones: Nova writes such a range out, number by number.
        cpus = [in_script(rng, rng.randint(0, 3)) if chance(rng, 0.8) else rng.choice(ODD) for _ in range(4)]
        specs.update({'hw:cpu_policy': 'mixed', 'hw:cpu_dedicated_mask': pick(rng, *cpus, '-'.join(cpus[:2]),
                                                                             '^' + cpus[0], ','.join(cpus))})
        made['request']['flavor']['vcpus'] = 4
    for key in ('hw:mem_encryption', 'hw:virtio_packed_ring', 'hw:cpu_realtime'):
        if chance(rng, 0.1):
            specs[key] = pick(rng, '١', '１', ' 1 ', '\x1c1', 'TRUE\u2003', 'ｔrue', 'on')
    made['request']['flavor']['extra_specs'] = specs
    made['request'].pop('image', None)
    made['request']['image'] = {'properties': {}}
    made['aggregates'], made['config'] = [], {}
    return made


def stable(options, found):
    """The records with the same answer whatever the hash seed."""
    for seed in '12':
        again = scheduler_cases.records(options.python, options.oracle, [record['input'] for record in found],
                                        dict(os.environ, PYTHONHASHSEED=seed))
        answers = {record['id']: record['expected'] for record in again}
        found = [record for record in found if answers.get(record['id']) == record['expected']]
    return found


def is_json(record):
    """Whether all weights are finite: others are no JSON."""
    text = json.dumps(record['expected'])
    return 'NaN' not in text and 'Infinity' not in text


def write(name, found):
    with gzip.GzipFile(name, 'wb', mtime=0) as out:
        for record in found:
            out.write((json.dumps(record, ensure_ascii=False) + '\n').encode())
    print('%s: %d cases' % (name, len(found)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('oracle')
    parser.add_argument('out')
    parser.add_argument('queries')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--cases', type=int, default=400)
    parser.add_argument('--keep', type=int, default=200)
    parser.add_argument('--python', default=sys.executable)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    found = scheduler_cases.records(options.python, options.oracle, [case(rng, n) for n in range(options.cases)])
    found = [record for record in found if is_json(record)]
    found.sort(key=scheduler_cases.interest, reverse=True)
    write(options.out, stable(options, found[:options.keep]))
    queries = ''.join(json.dumps(query(rng, n)) + '\n' for n in range(options.keep))
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'placement_query.py')
    asked = subprocess.run([options.python, here, 'ask'], input=queries, capture_output=True, text=True, check=True)
    write(options.queries, [json.loads(line) for line in asked.stdout.splitlines()])


if __name__ == '__main__':
    main()
