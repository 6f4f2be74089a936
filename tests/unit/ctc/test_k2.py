"""The functions of k2 that the project calls exist in both supported releases."""

import ast
import inspect

import pytest

from jointasr.utils.project import ROOT

pytestmark = pytest.mark.stack

# The first parameters, in order, that k2 1.23.4 (torch 1.13) and 1.24.4 (torch 2) have in common.
COMMON = {
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
    "invert": "fsa",  # not checked for 1.24.4; icefall calls it in the same way
    "prune_on_arc_post": "fsas threshold_prob use_double_scores",
    "remove_epsilon": "fsa",
    "shortest_path": "fsa use_double_scores",
    "with_cuda": "",  # a flag
}


def used() -> dict[str, set[str]]:
    """Return the functions of k2 that the project calls, with the names of keyword arguments."""
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
    """Return whether an expression is the module k2 or its class Fsa."""
    text = ast.unparse(node)
    return text in ("k2", "k2.Fsa") or (text.startswith("require_k2(") and text.endswith(")"))


def test_only_common_functions_are_called() -> None:
    calls = used()
    assert len(calls) >= 12  # else they are not found
    assert calls.keys() <= COMMON.keys(), calls.keys() - COMMON.keys()
    for name, arguments in calls.items():
        assert arguments <= set(COMMON[name].split()), name


def test_table_has_no_unused_functions() -> None:
    assert COMMON.keys() == used().keys()


@pytest.mark.parametrize("name", [name for name, parameters in COMMON.items() if parameters])
def test_installed_k2_has_the_parameters(name: str) -> None:
    k2 = pytest.importorskip("k2")
    owner, _, last = name.rpartition(".")
    function = getattr(getattr(k2, owner) if owner else k2, last)
    parameters = [p for p in inspect.signature(function).parameters if p != "self"]
    expected = COMMON[name].split()
    assert parameters[: len(expected)] == expected
