"""Messages of errors: what was found once, and the next step."""

from __future__ import annotations

from flynet_tiny.errors import UnknownTarget, UnsupportedOperators


def test_operators_of_one_kind_are_counted_and_advice_is_given_once() -> None:
    state = " has no kernel (pass the state as an input)"
    found = [
        f"op 0 CALL_ONCE{state}",
        *(f"op {i} VAR_HANDLE -> 's{i}'{state}" for i in range(1, 5)),
        "op 5 GELU -> 'y' has no kernel (use HARD_SWISH)",
        "op 6 ADD -> 'z': both inputs are int8",
    ]
    error = UnsupportedOperators(found)
    assert error.found == tuple(found)
    assert str(error) == (
        f"7 unsupported operators: op 0 CALL_ONCE{state}; 4 VAR_HANDLE, the first: op 1 VAR_HANDLE -> 's1' has no kernel; "
        "op 5 GELU -> 'y' has no kernel (use HARD_SWISH); op 6 ADD -> 'z': both inputs are int8"
    )


def test_only_the_first_twenty_problems_are_shown() -> None:
    error = UnsupportedOperators([f"op {i} ADD -> 'y{i}': too large" for i in range(25)])
    assert str(error).count("too large") == 20
    assert str(error).endswith("; and 5 more")


def test_an_unknown_target_is_met_with_near_names_and_the_list() -> None:
    near, far = str(UnknownTarget("stm32f421", ["stm32f429", "rp2040"])), str(UnknownTarget("zzz", ["rp2040"]))
    assert near == "unknown target 'stm32f421'; did you mean stm32f429? 'flynet-tiny targets' lists all"
    assert far == "unknown target 'zzz'; 'flynet-tiny targets' lists all"
