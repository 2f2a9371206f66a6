# The side that is trusted: runs the problem's own test code, and reaches the program only through plain data.
#
# A name that the test code does not define is the program's if the test says so (`calls`), a builtin, or else the
# program's. What comes back from the program is plain, or a `Remote`: something that can be called and looked
# into. It equals nothing but itself, so that no `__eq__` of the program's is ever asked.

import builtins
import collections.abc
import importlib
import random
import traceback

# Modules that test code may use under the program's name for them: the judge's own are taken.
MODULES = {
    "bisect", "cmath", "collections", "copy", "datetime", "decimal", "fractions", "functools", "heapq", "itertools",
    "json", "math", "numbers", "operator", "random", "re", "statistics", "string", "sys", "time", "typing",
}


class Unsupported(BaseException):
    """The test needs something of the program that cannot cross as plain data."""


class NotPlain(Exception):
    """The program gave something else than plain data where a value was asked for."""


class Raised(Exception):
    """The program raised what the builtins have no name for."""


class Tampered(BaseException):
    """What came back is no answer."""


class Program:
    def __init__(self, channel, names):
        self.channel = channel
        self.names = set(names)
        self.requests = 0
        self.nan_is_meant = False
        self.objects = {}

    def ask(self, operation, target, *rest):
        self.requests += 1
        self.channel.send({"id": self.requests, "do": operation, "target": target, "with": rest})
        try:
            answer = self.channel.receive()
            if type(answer) is not dict or answer.pop("id", None) != self.requests:
                raise Tampered
            if "missing" in answer:
                raise NameError("name %r is not defined" % sayable(str(answer["missing"])))
            if "raised" in answer:
                bases, text = answer["raised"]
                raise self.exception([str(base) for base in bases[:50]], sayable(str(text)))
            arguments = answer.get("arguments")
            if not self.nan_is_meant and has_nan(answer["value"]):
                # Of it every comparison is false, also one that is to find what is too far from the expected.
                raise NotPlain("NaN, where the test speaks of none")
            return self.value(answer["value"]), arguments and [self.value(argument) for argument in arguments]
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            if getattr(error, "of_the_program", False):
                raise
            raise Tampered from None

    def value(self, data):
        return decode(data, self.object)

    def object(self, number, name):
        # The same object is the same here too, so that `type(x) is C` can be asked.
        number = int(number)
        if number not in self.objects:
            self.objects[number] = Remote(self, number, str(name))
        return self.objects[number]

    def exception(self, bases, text):
        error = None
        for name in bases:
            kind = getattr(builtins, name, None)
            if kind in (AssertionError, StopIteration, StopAsyncIteration):
                break  # what would fail the test, or end its loops, as if the test had raised it
            if isinstance(kind, type) and issubclass(kind, Exception):
                try:
                    error = kind(text)
                except Exception:
                    pass
                break
        error = error or Raised(text)
        error.of_the_program = True
        error.text = text
        return error

    def global_value(self, name):
        value, _ = self.ask("get", name)
        if isinstance(value, Module):
            if value.name not in MODULES:
                raise NotPlain("the module `%s`, where something of the program's was expected" % value.name)
            return importlib.import_module(value.name)
        return value


class Remote:
    """Something of the program's that is not plain. Every attribute but these two is the program's."""

    __slots__ = ("_pspo_program", "_pspo_object")

    def __init__(self, program, number, type_name):
        object.__setattr__(self, "_pspo_program", program)
        object.__setattr__(self, "_pspo_object", (number, type_name))

    def __call__(self, *arguments, **keywords):
        sent = [outward(argument) for argument in arguments]
        named = {name: outward(argument) for name, argument in keywords.items()}
        value, after = self._pspo_program.ask("call", self._pspo_object[0], sent, named)
        if after:
            for argument, new in zip(arguments, after):
                replace(argument, new)
        return value

    def __getattr__(self, name):
        return self._pspo_program.ask("attribute", self._pspo_object[0], name)[0]

    def __setattr__(self, name, value):
        self._pspo_program.ask("set attribute", self._pspo_object[0], name, outward(value))

    def __getitem__(self, key):
        return self._pspo_program.ask("item", self._pspo_object[0], outward(key))[0]

    def __iter__(self):
        # One by one: there may be no end of them.
        iterator = self._pspo_program.ask("iterate", self._pspo_object[0])[0]
        if type(iterator) is not Remote:
            raise NotPlain("an iterator that is none")
        return iterator

    def __next__(self):
        found = self._pspo_program.ask("next", self._pspo_object[0])[0]
        if not found:
            raise StopIteration
        return found[0]

    def __instancecheck__(self, value):
        return self._pspo_program.ask("is instance", self._pspo_object[0], outward(value))[0] is True

    def __len__(self):
        length = self._pspo_program.ask("length", self._pspo_object[0])[0]
        if type(length) is not int or length < 0:
            raise NotPlain("a length that is no number")
        return length

    def __str__(self):
        return str(self._pspo_program.ask("text", self._pspo_object[0])[0])

    def __eq__(self, other):
        return isinstance(other, Remote) and other._pspo_object[0] == self._pspo_object[0]

    def __hash__(self):
        return hash(self._pspo_object[0])

    def __bool__(self):
        raise NotPlain("an object of type `%s`, where a value was expected" % self._pspo_object[1])


def is_instance(value, kinds):
    """`isinstance` for test code. Of the program's objects the program knows it, and no class of the judge's is theirs:
    by themselves they would pass for whatever abstract class has the methods that `Remote` has."""
    if type(kinds) is tuple:
        return any([is_instance(value, kind) for kind in kinds])
    if kinds is kind_of:
        kinds = type
    if type(value) is not Remote or type(kinds) is Remote:
        return isinstance(value, kinds)
    if type(kinds) is type:
        return kinds is object
    kinds = getattr(kinds, "__origin__", kinds)  # of `typing.Iterator` that of `collections.abc`
    name = getattr(kinds, "__name__", str(kinds))
    if getattr(collections.abc, name, None) is not kinds:
        raise Unsupported("the test asks whether an object of the program's is of `%s`" % name)
    return value._pspo_program.ask("is abstract", value._pspo_object[0], name)[0] is True


def kind_of(value, *rest):
    """`type` for test code."""
    if type(value) is Remote and not rest:
        return value._pspo_program.ask("attribute", value._pspo_object[0], "__class__")[0]
    return type(value, *rest)


def is_subclass(kind, kinds):
    """`issubclass` for test code."""
    if Remote in map(type, (kind, *(kinds if type(kinds) is tuple else (kinds,)))):
        raise Unsupported("the test asks whether one class is a subclass of the program's, or the program's of it")
    return issubclass(kind, kinds)


def outward(value):
    """The plain data of what test code gives to the program."""
    if isinstance(value, Remote):
        return {"object": list(value._pspo_object)}
    kept = Plain()
    data = kept.encode(value)
    if not kept.kept:
        return data
    if type(value) is list:
        return [outward(item) for item in value]
    if type(value) is tuple:
        return {"tuple": [outward(item) for item in value]}
    if type(value) is dict:
        return {"dict": [[outward(key), outward(item)] for key, item in value.items()]}
    if isinstance(kept.kept[0], (Remote, Module)):
        raise NotPlain("an object of the program's, where a value was expected")
    raise Unsupported("the test passes an object of type `%s` to the program" % type(kept.kept[0]).__name__)


def replace(argument, new):
    """What the program did to an argument, done to the judge's own."""
    kind = type(argument)
    if kind is not type(new):
        return
    if kind is list or kind is bytearray:
        argument[:] = new
    elif kind in (dict, set, collections.deque):
        argument.clear()
        if kind is collections.deque:
            argument.extend(new)
        else:
            argument.update(new)


class Names(dict):
    """The test code's names. `calls` are those of the program that it means to use; if it does not say, any."""

    def __init__(self, program, calls):
        super().__init__(__name__="tests", __builtins__=builtins)
        self.update(isinstance=is_instance, issubclass=is_subclass, type=kind_of)
        self.program = program
        self.calls = set(calls)

    def __missing__(self, name):
        if name not in self.calls:
            if hasattr(builtins, name):
                raise KeyError(name)
            if name in MODULES:
                return importlib.import_module(name)
        if name not in self.program.names:
            if self.calls and name not in self.calls:
                raise Unsupported("the test uses `%s`, which neither it nor the builtins define" % name)
            raise KeyError(name)
        value = self.program.global_value(name)
        if self.calls and name not in self.calls and not isinstance(value, type(sys)):
            raise Unsupported("the test uses `%s`, which it does not say to be the program's" % name)
        self[name] = value
        return value


def judge(control, _):
    """Does one job, for one program: what its test code leaves behind is nobody else's."""
    nowhere = os.open("/dev/null", os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    job, fds = control.receive_with_descriptors()
    random.seed(0)
    if job["role"] == "check":
        check(control, job)
    else:
        run_tests(control, job, Channel(fds[0]))
    control.send({"done": True})


def has_nan(data):
    if type(data) is dict:
        return data.get("float") == "nan" or any(map(has_nan, data.values()))
    return type(data) is list and any(map(has_nan, data))


def run_tests(control, job, peer):
    try:
        tests = [(compile(code, "test.py", "exec", dont_inherit=True), calls) for code, calls in job["tests"]]
    except (SyntaxError, ValueError) as error:
        control.send({"unsupported": "the test's code does not compile: " + last_line(error)})
        return
    program = Program(peer, job["names"])
    for number, (test, calls) in enumerate(tests):
        program.nan_is_meant = "nan" in job["tests"][number][0].lower()
        result = run_test(test, Names(program, calls))
        control.send({"test": number, **result})
        if "gone" in result or "passed" not in result and not job["run_all"]:
            return


def run_test(test, names):
    """What one test came to. Whoever raises it, an exception that leaves the test code fails the test."""
    try:
        exec(test, names)
        return {"passed": True}
    except Unsupported as error:
        return {"unsupported": sayable(str(error))}
    except Gone:
        return {"gone": True}
    except Tampered:
        return {"tampered": True}
    except NotPlain as error:
        return {"wrong": sayable(str(error))}
    except MemoryError:
        names.clear()
        return {"raised": "MemoryError in the test's code"}
    except SystemExit:
        return {"unsupported": "the test's code exits"}
    except BaseException as error:
        if getattr(error, "of_the_program", False):
            return {"raised": error.text}
        if isinstance(error, AssertionError):
            return {"wrong": where(error, last_line(error))}
        return {"wrong": last_line(error)}


def where(error, text):
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "test.py"]
    return "%s (line %d of the test)" % (text, frames[-1].lineno) if frames else text


def check(control, job):
    """A checker of the problem's: many answers may be right. What it cannot read is none of them."""
    try:
        names = {"__name__": "checker"}
        exec(compile(job["code"], "checker.py", "exec", dont_inherit=True), names)
        decide = names["check"]
    except BaseException as error:
        control.send({"unsupported": "the problem's checker: " + last_line(error)})
        return
    for number, (stdin, expected, printed) in enumerate(job["runs"]):
        try:
            verdict = decide(stdin, expected, printed)
        except BaseException as error:
            control.send({"test": number, "wrong": "the checker cannot read it: " + last_line(error)})
            continue
        if verdict is not True and verdict is not False:
            control.send({"unsupported": "the checker returned neither True nor False"})
            return
        control.send({"test": number, "passed": True} if verdict else {"test": number, "wrong": "the checker says no"})
