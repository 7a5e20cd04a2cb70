#!/usr/bin/env python3
"""What Python reads as a number, as white space and as yes: a table to compare with.

    python3.11 python_numbers.py OUT.jsonl.gz [--seed N] [--texts N]

The first line is {"unicode", "digits", "numeric_spaces", "spaces"}: the version of Python's character database, every
decimal digit with its value, the characters that int() and float() skip around a number, and those of str.isspace().
Each other line is {"text", "int", "float", "yes"}: the number as text, the bits of the float in hexadecimal (null where
Python raises ValueError), and oslo's bool_from_string().
"""

import argparse
import gzip
import io
import json
import random
import struct
import sys
import unicodedata

EVERY = [chr(code) for code in range(sys.maxunicode + 1) if not 0xd800 <= code <= 0xdfff]
DIGITS = [c for c in EVERY if unicodedata.decimal(c, None) is not None]
SPACES = [c for c in EVERY if c.isspace()]
# Digits that are not decimal, signs and marks that only look like those of ASCII, and characters without width.
LOOKALIKES = list('²½Ⅷ①〇一٫٬−＋－．＿，ｅıſＩＮＦ\u200b\ufeff\u2060\u180e\u200f\x00')
PARTS = ['.', '_', '__', '-', '+', 'e', 'E', ',', 'x', '0x', 'inf', 'INF', 'Infinity', 'nan', 'NaN', 'true', 'Yes', 'ON']
FIXED = ['', ' ', '.', '-', '+', '_', 'e5', '1e', '1.e5', '.e1', '.5', '5.', '5_.', '._5', '1_0', '1__0', '_1', '1_', '- 1',
         '--1', '1e400', '-1e400', '1e-400', '5e-324', '2.5e-324', '1e+5', '1e_5', '1_0.5_0e1_0', '0_0', '00', '-0', '-0.0',
         '0x10', '1.5f', '1d5', 'inf', '-inf', '+Infinity', 'infinit', 'infinity_', 'nan', '-nan', 'nan(1)', '9' * 18,
         str(2 ** 63 - 1), str(2 ** 63), str(-2 ** 63), str(-2 ** 63 - 1), str(2 ** 64), '9' * 30, '-' + '9' * 30,
         str(2 ** 127 - 1), str(-2 ** 127), '1' * 4300, '1' * 4301, '0' * 4300 + '1', '-' + '1' * 4300, '1_' * 4299 + '1',
         '1_' * 4300 + '1', '١' * 4300, '١' * 4301, '9007199254740993', '0.1', '1.7976931348623159e308',
         '123456789012345678901234567890.5', 'true', ' TRUE\n', 't', 'T', 'y', 'yes', 'On', '１', '1 ', 'false', 'ｔrue']


def read(kind, text):
    try:
        return kind(text)
    except ValueError:
        return None


def record(text):
    number, real = read(int, text), read(float, text)
    # What exceeds 4300 digits cannot be printed, either.
    return {'text': text, 'int': None if number is None else str(number),
            'float': None if real is None else struct.pack('>d', real).hex(),
            'yes': text.strip().lower() in ('1', 't', 'true', 'on', 'y', 'yes')}


def around(rng, text):
    pad = SPACES + LOOKALIKES
    return rng.choice(['', '', rng.choice(pad)]) + text + rng.choice(['', '', rng.choice(pad), '\n'])


def random_text(rng):
    zero = ord(rng.choice([c for c in DIGITS if unicodedata.decimal(c) == 0]))
    digit = lambda: chr(zero + rng.randrange(10)) if rng.random() < 0.8 else rng.choice(DIGITS)
    parts = []
    for _ in range(rng.randint(1, 6)):
        draw = rng.random()
        if draw < 0.6:
            parts.append(''.join(digit() for _ in range(rng.randint(1, 4))))
        elif draw < 0.9:
            parts.append(rng.choice(PARTS))
        else:
            parts.append(rng.choice(LOOKALIKES + SPACES))
    return around(rng, ''.join(parts))


def well_formed(rng):
    digits = lambda: ''.join(rng.choice(DIGITS) for _ in range(rng.randint(1, 5)))
    sign = rng.choice(['', '', '-', '+'])
    whole = '_'.join(digits() for _ in range(rng.randint(1, 3)))
    fraction = rng.choice(['', '', '.', '.' + digits()])
    exponent = rng.choice(['', '', 'e%s%s' % (rng.choice(['', '-', '+']), rng.choice(DIGITS))])
    return around(rng, sign + whole + fraction + exponent)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--texts', type=int, default=1500)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    table = {'unicode': unicodedata.unidata_version, 'digits': {c: unicodedata.decimal(c) for c in DIGITS},
             'numeric_spaces': [c for c in SPACES if read(int, c + '5') == 5], 'spaces': SPACES}
    texts = FIXED + [random_text(rng) for _ in range(options.texts)] + [well_formed(rng) for _ in range(options.texts)]
    lines = [json.dumps(one, sort_keys=True) for one in [table] + [record(text) for text in dict.fromkeys(texts)]]
    with open(options.out, 'wb') as file, gzip.GzipFile('', 'wb', fileobj=file, mtime=0) as out:
        with io.TextIOWrapper(out, 'utf-8') as text:
            text.writelines(line + '\n' for line in lines)


if __name__ == '__main__':
    main()
