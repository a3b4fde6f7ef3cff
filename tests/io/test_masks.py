import zlib

import numpy as np
import pytest

from tavlo_pl.io.masks import pack_mask, unpack_mask


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (36, 64)])
def test_masks_round_trip(shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random(shape) > 0.5
    back = unpack_mask(pack_mask(mask), mask.size)
    assert back.dtype == np.bool_ and np.array_equal(back, mask.ravel())


def test_a_mask_of_one_source_takes_little_space() -> None:
    mask = np.zeros((360, 640), bool)
    mask[100:200, 50:300] = True
    assert len(pack_mask(mask)) < 1000


def test_other_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="no packed mask"):
        unpack_mask(b"mask", 9)
    with pytest.raises(ValueError, match="of 16 pixels instead of 100"):
        unpack_mask(pack_mask(np.ones(9, bool)), 100)
    with pytest.raises(ValueError, match="of more than 112 pixels instead of 99"):
        unpack_mask(zlib.compress(bytes(2**20)), 99)  # a thousand bytes that unpack to more
