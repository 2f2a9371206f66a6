# The side that runs the program. Nothing here is trusted once the program has begun: it can change every line of
# this while it runs. All that it can do with that is to give answers, and those are judged elsewhere.

import atexit
import builtins
import collections.abc
import itertools
import resource
import threading
import traceback


# Names that a program finds, beside those of its tests.
PRELUDE = {}


def candidate(control, peer):
    job = control.receive()
    resource.setrlimit(resource.RLIMIT_CPU, (job["cpu_seconds"], job["cpu_seconds"]))
    # A program sees modules as if it were alone.
    main = type(sys)("__main__" if job["role"] == "run" else "program")
    sys.modules[main.__name__] = main
    names = main.__dict__
    names.update(PRELUDE)
    for name, value in job["variables"]:
        names[name] = decode(value, None)
    try:
        # As when it is read from a file, a byte-order mark is none of its text.
        code = compile(job["program"].removeprefix("\ufeff"), "program.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        control.send({"compile": last_line(error)})
        os._exit(1)
    control.send({"begun": True})
    if job["role"] == "run":
        run(code, names)
    else:
        serve(code, names, peer or control, control)


def last_line(error):
    try:
        line = traceback.format_exception_only(type(error), error)[-1].strip()
    except BaseException:
        line = type(error).__name__
    return sayable(line)


def run(code, names):
    """Runs a program as the interpreter would, to its end."""
    status = 0
    try:
        try:
            exec(code, names)
        except SystemExit:
            raise
        except MemoryError:
            names.clear()
            os.write(2, b"MemoryError\n")
            os._exit(1)
        except BaseException as error:
            status = 1
            error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
            sys.excepthook(type(error), error, error.__traceback__)
        threading._shutdown()
        atexit._run_exitfuncs()
    except SystemExit as error:
        status = exit_status(error)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            status = status or 120
    os._exit(status)


def exit_status(error):
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def serve(code, names, channel, control):
    """Runs a program once, then does with it what is asked: calls it, looks at what it made."""
    plain = Plain()
    try:
        exec(code, names)
    except SystemExit as error:
        explicit = error.code is not None
        control.send({"exited": exit_status(error)} if explicit else {"raised": "SystemExit"})
        os._exit(0)
    except BaseException as error:
        control.send({"raised": last_line(error)})
        os._exit(1)
    control.send({"ready": [name for name in names if type(name) is str]})
    while True:
        try:
            request = channel.receive()
        except Gone:
            os._exit(0)
        answer = {"id": request["id"]}
        try:
            answer.update(perform(request, names, plain))
        except Missing as error:
            answer["missing"] = error.args[0]
        except BaseException as error:
            answer["raised"] = [base.__name__ for base in type(error).__mro__], last_line(error)
        try:
            channel.send(answer)
        except Gone:
            os._exit(0)


class Missing(Exception):
    """A name that the program does not define."""


def perform(request, names, plain):
    def find(target):
        if type(target) is str:
            if target in names:
                return names[target]
            # LeetCode's form: the function is a method of a class of this name.
            solution = names.get("Solution")
            if operation == "call or solve" and isinstance(solution, type) and hasattr(solution, target):
                return getattr(solution(), target)
            raise Missing(target)
        return plain.kept[target]

    def value(data):
        return decode(data, lambda number, _: plain.kept[number])

    operation, rest = request["do"], request["with"]
    target = find(request["target"])
    if operation == "call" or operation == "call or solve":
        arguments = [value(argument) for argument in rest[0]]
        keywords = {name: value(argument) for name, argument in rest[1].items()}
        result = target(*arguments, **keywords)
        answer = {"value": plain.encode(result)}
        if any(type(argument) in (list, dict, set, bytearray, collections.deque) for argument in arguments):
            after = [plain.encode(argument) for argument in arguments]
            if after != rest[0]:
                answer["arguments"] = after
        return answer
    if operation == "get":
        return {"value": plain.encode(target)}
    if operation == "attribute":
        return {"value": plain.encode(getattr(target, *rest))}
    if operation == "set attribute":
        setattr(target, rest[0], value(rest[1]))
        return {"value": None}
    if operation == "item":
        return {"value": plain.encode(target[value(rest[0])])}
    if operation == "iterate":
        return {"value": plain.keep(iter(target))}
    if operation == "next":
        return {"value": [plain.encode(item) for item in itertools.islice(target, 1)]}
    if operation == "is instance":
        return {"value": isinstance(value(rest[0]), target)}
    if operation == "is abstract":
        return {"value": isinstance(target, getattr(collections.abc, rest[0]))}
    if operation == "length":
        return {"value": len(target)}
    if operation == "text":
        return {"value": "%s" % str(target)}
    raise ValueError(operation)
