from __future__ import annotations

import numpy as np

from flynet_tiny.codegen.minimise.certificate import Certificate, NarrowedTensor, RemovedChannel

ENTRY = NarrowedTensor("a", 5, (RemovedChannel(1, -7, (-90, -80)), RemovedChannel(3, None), RemovedChannel(4, 9)))
CERTIFICATE = Certificate((ENTRY,))


def test_kept_channels_and_constants() -> None:
    assert ENTRY.kept == (0, 2)
    assert ENTRY.constants == {1: -7, 4: 9}
    assert CERTIFICATE
    assert not Certificate()


def test_what_is_known_of_a_tensor_that_is_stored() -> None:
    known = CERTIFICATE.known_channels("a", (1, 2, 5), np.array([10, 20, 30, 40], np.int8))
    assert known is not None
    channels, values = known
    assert channels.tolist() == [0, 1, 2, 4]
    assert values.dtype == np.int8
    assert values.tolist() == [[[10, -7, 20, 9], [30, -7, 40, 9]]]


def test_what_is_known_of_a_tensor_that_is_not() -> None:
    known = CERTIFICATE.known_channels("a", (1, 2, 5), None)
    assert known is not None
    assert known[0].tolist() == [1, 4]
    assert known[1].tolist() == [[[-7, 9], [-7, 9]]]
    unread = Certificate((NarrowedTensor("a", 1, (RemovedChannel(0, None),)),))
    assert unread.known_channels("a", (1, 2, 1), None) is None
