"""One of each kind of syntax that Python 3.10 has: see tests of the code digest."""
import os, sys as system
from pathlib import (Path as P,)
from . import sibling

A: int = 1
B: "list[str]"
a = b = c = 0x10, 1_000, 1.5e300, -0.0, 3j, ..., None, True, b"\x00\xff", "\u2028\U0001f600é", ""
[a, *b], (c, d) = [1, *[2], 3], (4, 5)
a += 1; a //= 2; a @= b; a <<= 3
x = {**{}, "k": 1} | {1, 2} or not a and ~b if a < b <= c != d is not None else lambda p, /, q=1, *r, s=2, **t: (yield)
y = f"{a!r:>{b}.2f} text {{}} {c=}" "joined" f"{d:%Y-%m-%d}"
z = [i async for i in a] if 0 else [i for i in a if i if not i for j in i], {k: v for k, v in a}, {*a}, (g for g in a)
a[1:2, ::3, ...] = a.b.c(*d, e, f=1, **g)
assert a, "message"
del a[0], b


@decorator(1)
class C(Base, metaclass=Meta):
    "Docstring."
    x: int

    async def f(self, a: int, *, b: str = "x") -> None:
        """Docstring."""
        async with a as b, c: await d
        async for i in a: break
        else: continue
        global G; nonlocal_ = 1

    def g(self):
        def h(): nonlocal n; return
        n = yield from h
        try: raise ValueError from None
        except (A, B) as e: pass
        except: ...
        else: pass
        finally: return n


while (n := n - 1):
    match n:
        case [1, *rest] | {"k": C(x=1, y=_), **kw} if n: pass
        case None | -1.5 | "s" as name: pass
        case _: pass
else:
    pass
with (open(a) as f, open(b)): print(*f, sep="")
