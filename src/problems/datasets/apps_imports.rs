//! The imports that APPS' own harness puts in front of programs.

use super::python::{defined, imports, names};

/// Imports that the benchmark's `testing_util.py` puts in front of a program, each with the names that it binds;
/// those of modules that are no part of Python left out.
const IMPORTS: &[(&str, &[&str])] = &[
    ("import sys", &["sys"]),
    ("import time", &["time"]),
    ("import itertools", &["itertools"]),
    (
        "from itertools import accumulate, product, permutations, combinations",
        &["accumulate", "product", "permutations", "combinations"],
    ),
    ("import collections", &["collections"]),
    (
        "from collections import Counter, OrderedDict, deque, defaultdict, ChainMap",
        &["Counter", "OrderedDict", "deque", "defaultdict", "ChainMap"],
    ),
    ("from functools import lru_cache", &["lru_cache"]),
    ("import math", &["math"]),
    (
        "from math import sqrt, sin, cos, tan, ceil, fabs, floor, gcd, exp, log, log2",
        &["sqrt", "sin", "cos", "tan", "ceil", "fabs", "floor", "gcd", "exp", "log", "log2"],
    ),
    ("import fractions", &["fractions"]),
    ("from typing import List, Tuple", &["List", "Tuple"]),
    ("import random", &["random"]),
    ("import heapq", &["heapq"]),
    (
        "from heapq import *",
        &["heappush", "heappop", "heapify", "heappushpop", "heapreplace", "merge", "nlargest", "nsmallest"],
    ),
];

/// A program behind the imports of [`IMPORTS`] that it needs.
pub(super) fn with_imports(program: &str) -> String {
    let (used, own) = (names(program), defined(program));
    let imported = imports(program);
    let bound = |name: &str| own.contains(name) || imported.iter().any(|(_, names)| names.contains(name));
    let needed = IMPORTS
        .iter()
        .filter(|(_, names)| names.iter().any(|name| used.contains(*name) && !bound(name)))
        .map(|(line, _)| format!("{line}\n"));
    format!("{}{program}", needed.collect::<String>())
}
