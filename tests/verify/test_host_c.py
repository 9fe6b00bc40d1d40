import numpy as np
import pytest

from flynet_tiny.errors import EmulationFailed
from flynet_tiny.firmware.toolchain import ToolFailedError
from flynet_tiny.verify.host_c import HostLibrary

from ..tiny_library import tiny_inputs, tiny_library, tiny_twin

INPUTS = tiny_inputs(4)


def test_every_tensor_comes_home() -> None:
    with HostLibrary(tiny_library()) as host:
        results = host.run_many(INPUTS)
    for inputs, result in zip(INPUTS, results, strict=True):
        twin = tiny_twin(inputs)
        assert list(result.tensors) == ["image", "tripled", "reversed"]
        for name, values in result.tensors.items():
            np.testing.assert_array_equal(values, twin[name])
        np.testing.assert_array_equal(result.outputs["reversed"], twin["reversed"])


def test_without_trace_only_the_outputs_come() -> None:
    with HostLibrary(tiny_library()) as host:
        (result,) = host.run_many(INPUTS[:1], trace=False)
    assert list(result.tensors) == ["reversed"]
    np.testing.assert_array_equal(result.tensors["reversed"], tiny_twin(INPUTS[0])["reversed"])


@pytest.mark.parametrize(("where", "side"), [("output[-129]", "below"), ("output[64]", "above")])
def test_one_byte_beside_the_arena_is_found_and_its_operator_named(where: str, side: str) -> None:
    crime = f"void helper(uint8_t *output) {{ {where} = 1; }}"
    with (
        HostLibrary(tiny_library(crime)) as host,
        pytest.raises(EmulationFailed, match=f"written {side} the arena by operator 1"),
    ):
        host.run(INPUTS[0])


def test_the_last_byte_of_the_arena_is_no_crime() -> None:
    with HostLibrary(tiny_library("void helper(uint8_t *output) { output[64] = 1; }", arena_bytes=193)) as host:
        host.run(INPUTS[0])


def test_sanitizers_speak() -> None:
    overflow = "void helper(uint8_t *output) { volatile int big = 0x7fffffff; big += 1; output[1] = (uint8_t)(big >> 24); }"
    with (
        HostLibrary(tiny_library(overflow), sanitize=True) as host,
        pytest.raises(EmulationFailed, match="runtime error: signed integer overflow"),
    ):
        host.run(INPUTS[0])


def test_a_clean_library_is_clean_under_sanitizers() -> None:
    with HostLibrary(tiny_library(), sanitize=True) as host:
        np.testing.assert_array_equal(host.run(INPUTS[2]).outputs["reversed"], tiny_twin(INPUTS[2])["reversed"])


def test_a_crash_is_an_error_of_the_library() -> None:
    crash = "void helper(uint8_t *output) { (void)output; __builtin_trap(); }"
    with HostLibrary(tiny_library(crash)) as host, pytest.raises(EmulationFailed, match="tiny on the host failed"):
        host.run(INPUTS[0])


def test_a_hang_ends() -> None:
    hang = "void helper(uint8_t *output) { for (;;) { ((volatile uint8_t *)output)[0] = 0; } }"
    with HostLibrary(tiny_library(hang)) as host, pytest.raises(EmulationFailed, match=r"did not end within 0\.3 s"):
        host.run_many(INPUTS[:1], timeout_s=0.3)


def test_an_operator_that_refuses_is_reported() -> None:
    library = tiny_library()
    files = {**library.files, "tiny.c": library.files["tiny.c"].replace("TINY_TRACE_OP(1);\n  return TINY_OK", "return 7")}
    broken = type(library)(**{**vars(library), "files": files})
    with HostLibrary(broken) as host, pytest.raises(EmulationFailed, match="the library returned status 7"):
        host.run(INPUTS[0])


def test_a_warning_in_the_generated_c_is_an_error() -> None:
    with HostLibrary(tiny_library(first="int nothing;")) as host, pytest.raises(ToolFailedError, match="unused variable"):
        host.run(INPUTS[0])


def test_a_library_that_nobody_ran_is_put_away() -> None:
    with HostLibrary(tiny_library()) as host:
        folder = host._scratch.path
        assert folder.is_dir()
    assert not folder.exists()


def test_inputs_of_another_size_are_refused() -> None:
    with HostLibrary(tiny_library()) as host:
        with pytest.raises(ValueError, match=r"int8\[63\], the library takes int8\[64\]"):
            host.run({"image": np.zeros(63, np.int8)})
        with pytest.raises(ValueError, match="float32"):
            host.run({"image": np.zeros(64, np.float32)})
