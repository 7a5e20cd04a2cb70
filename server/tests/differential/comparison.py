"""Whether two answers say the same."""
import json
import re
from collections import Counter
from urllib.parse import parse_qsl

# What the original does to some queries for candidates, and Berth does not: see docs/conformance.md.
FAILED = 'the original fails'
ADDED = 'the original adds amounts of one candidate to another'
MORE = 'Berth finds candidates that the original leaves out'


def plain(value, key=''):
    """The value with a definite order, and without what nobody promises."""
    if isinstance(value, dict):
        return {name: plain(member, name) for name, member in sorted(value.items()) if name != 'links'}
    if isinstance(value, list):
        return sorted((plain(member) for member in value), key=lambda member: json.dumps(member, sort_keys=True))
    return value


def compare(request, ours, theirs, texts=False):
    """(what differs, whether that is known); (None, False) when nothing does."""
    method, path = request[0], request[1]
    (status, body, headers), (right_status, right_body, right_headers) = ours, theirs
    is_query = method == 'GET' and path.startswith('/allocation_candidates?')
    if right_status >= 500 > status:
        return FAILED, is_query
    if status != right_status:
        return 'status', False
    # The original leaves it out of empty lists.
    if right_headers.get('last-modified') and not headers.get('last-modified'):
        return 'last-modified', False
    found, right = (json.loads(text) if text else None for text in (body, right_body))
    if status >= 400:
        return (None if status == 401 else compare_errors(found, right, texts)), False
    if plain(found) == plain(right) or '&limit=' in path and number_of(found) == number_of(right):
        return None, False  # which of the candidates come first is not promised
    return compare_candidates(path, found, right) if is_query else ('body', False)


def compare_errors(found, right, texts):
    found, right = found['errors'][0], right['errors'][0]
    if found.get('code') != right.get('code') or found['title'] != right['title']:
        return 'code'
    words = re.sub(r'\W+', ' ', found['detail'])[:60].strip()
    return 'text' if texts and words not in re.sub(r'\W+', ' ', right['detail']) else None


def compare_candidates(path, found, right):
    query = parse_qsl(path.partition('?')[2])
    asked = Counter()
    groups = Counter()
    for name, value in query:
        if name.startswith('resources'):
            for resource in value.split(','):
                rc, amount = resource.split(':')
                groups[rc] += 1
                asked[rc] += int(amount)
    wrong = [each for each in found['allocation_requests'] if amounts(each) != asked]
    if wrong:
        return 'amounts of %s' % wrong[0], False
    repeated = {rc for rc, count in groups.items() if count > 1}
    ours, others = shapes(found, repeated), shapes(right, repeated)
    if ours == others:
        return (ADDED, True) if repeated else ('summaries', False)
    is_mixed = any(name == 'resources' for name, _ in query) and len(groups) + len(repeated) > 1
    return (MORE, True) if is_mixed and others < ours else ('candidates', False)


def number_of(answer):
    return len(answer['allocation_requests'])


def resources(candidate):
    """(provider, its resources)"""
    allocations = candidate['allocations']
    if isinstance(allocations, dict):
        return [(provider, each['resources']) for provider, each in allocations.items()]
    return [(each['resource_provider']['uuid'], each['resources']) for each in allocations]


def amounts(candidate):
    total = Counter()
    for _, held in resources(candidate):
        total.update(held)
    return total


def shapes(answer, repeated):
    """The candidates, without the amounts of classes that several groups ask for."""
    def shape(candidate):
        taken = [(provider, rc, None if rc in repeated else amount)
                 for provider, held in resources(candidate) for rc, amount in held.items()]
        return json.dumps([sorted(taken, key=str), plain(candidate.get('mappings'))], sort_keys=True)
    return {shape(candidate) for candidate in answer['allocation_requests']}
