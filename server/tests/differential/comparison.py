"""Whether two answers say the same."""
import json
import re
from collections import Counter
from urllib.parse import parse_qsl

# What the original does to some queries for candidates, and Berth does not: see docs/conformance.md.
FAILED = 'the original fails'
ADDED = 'the original adds amounts of one candidate to another'
MORE = 'Berth finds candidates that the original leaves out'
SPELLED = 'Berth finds by a UUID in another spelling, the original does not'

# A UUID in another spelling than that of the API.
OTHER_SPELLING = re.compile(
    r'(?=[0-9A-F-]*[A-F])[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}|[0-9a-f]{32}|[{]|urn:uuid:')


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
    is_spelled = bool(OTHER_SPELLING.search(path))
    if status != right_status:
        return (SPELLED, True) if is_spelled and (status, right_status) == (200, 404) else ('status', False)
    # The original leaves it out of empty lists.
    if right_headers.get('last-modified') and not headers.get('last-modified'):
        return 'last-modified', False
    kind, right_kind = (part.get('content-type', '').partition(';')[0] for part in (headers, right_headers))
    if kind != right_kind:
        return 'content-type', False
    if kind.startswith('text/'):
        return None, False  # an error for people
    found, right = (json.loads(text) if text else None for text in (body, right_body))
    if status >= 400:
        return (None if status == 401 else compare_errors(found, right, texts)), False
    if plain(found) == plain(right) or '&limit=' in path and number_of(found) == number_of(right):
        return None, False  # which of the candidates come first is not promised
    if is_spelled and is_nothing(right):
        return SPELLED, True
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


def is_nothing(answer):
    """Whether the answer shows nothing that could have been found."""
    return not any(answer.get(name) for name in ('allocation_requests', 'resource_providers', 'allocations'))


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
