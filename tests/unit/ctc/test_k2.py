"""Every function of k2 that we call, against a table of what both generations offer."""

import ast
import inspect

import pytest

from jointasr.utils.project import ROOT

pytestmark = pytest.mark.stack

# Parameters that 1.23.4 (torch 1.13) and 1.24.4 (torch 2) have in common, in order; a name in
# brackets only helps to find it. Positional use relies on the order, use by name on the names.
BOTH = {
    "DenseFsaVec": "log_probs supervision_segments allow_truncate",
    "Fsa": "",  # of arcs, and from_str, from_openfst below
    "Fsa.from_str": "s acceptor num_aux_labels",
    "Fsa.from_openfst": "s acceptor num_aux_labels",
    "arc_sort": "fsa",
    "compose": "a_fsa b_fsa treat_epsilons_specially inner_labels",
    "connect": "fsa",
    "ctc_graph": "symbols modified device",
    "ctc_loss": "decoding_graph dense_fsa_vec output_beam delay_penalty reduction "
    "use_double_scores",
    "ctc_topo": "max_token modified device",
    "determinize": "fsa",
    "get_aux_labels": "best_paths",
    "intersect_dense": "a_fsas b_fsas output_beam",
    "intersect_dense_pruned": "a_fsas b_fsas search_beam output_beam min_active_states "
    "max_active_states",
    "invert": "fsa",  # of 1.24.4 not looked at; icefall calls it so with every k2
    "prune_on_arc_post": "fsas threshold_prob use_double_scores",
    "remove_epsilon": "fsa",
    "shortest_path": "fsa use_double_scores",
    "with_cuda": "",  # a flag
}


def used() -> dict[str, set[str]]:
    """What of k2 the project's code calls, with the names of arguments it gives."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "jointasr").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = {id(n.func): n for n in ast.walk(tree) if isinstance(n, ast.Call)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and _of_k2(node.value):
                name = ast.unparse(node).removeprefix("require_k2(device).")
                name = name.removeprefix("require_k2().").removeprefix("k2.")
                call = calls.get(id(node))
                names = {k.arg for k in call.keywords if k.arg} if call else set()
                found.setdefault(name, set()).update(names)
    return found


def _of_k2(node: ast.expr) -> bool:
    """Whether an expression is the module, or its class Fsa."""
    text = ast.unparse(node)
    return text in ("k2", "k2.Fsa") or (text.startswith("require_k2(") and text.endswith(")"))


def test_only_what_both_generations_have_is_called() -> None:
    calls = used()
    assert len(calls) >= 12  # else this does not find them
    assert calls.keys() <= BOTH.keys(), calls.keys() - BOTH.keys()
    for name, arguments in calls.items():
        assert arguments <= set(BOTH[name].split()), name


def test_nothing_is_in_the_table_for_nothing() -> None:
    assert BOTH.keys() == used().keys()


@pytest.mark.parametrize("name", [name for name, parameters in BOTH.items() if parameters])
def test_this_k2_is_as_the_table_says(name: str) -> None:
    k2 = pytest.importorskip("k2")
    owner, _, last = name.rpartition(".")
    function = getattr(getattr(k2, owner) if owner else k2, last)
    parameters = [p for p in inspect.signature(function).parameters if p != "self"]
    wanted = BOTH[name].split()
    assert parameters[: len(wanted)] == wanted
