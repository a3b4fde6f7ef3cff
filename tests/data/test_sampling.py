from itertools import chain

import pytest

from tavlo_pl.data.sampling import TrainBatches, evaluation_order


def test_the_order_is_another_in_each_epoch_and_for_each_seed() -> None:
    def order(epoch: int, seed: int = 0) -> list[tuple[int, int]]:
        return list(chain.from_iterable(TrainBatches([(10, 2)], seed=seed, epoch=lambda: epoch)))

    assert sorted(order(0)) == [(0, index) for index in range(10)]
    assert [index for _, index in order(0)] != [index for _, index in order(1)]
    assert order(1) == order(1) != order(1, seed=1)


def test_processes_share_an_epoch_without_overlap() -> None:
    ranks = [list(TrainBatches([(11, 2)], rank, 2)) for rank in range(2)]
    assert [len(rank) for rank in ranks] == [2, 2] == [len(TrainBatches([(11, 2)], rank, 2)) for rank in range(2)]
    assert len({clip for rank in ranks for batch in rank for clip in batch}) == 8
    resumed = list(TrainBatches([(11, 2)], 1, 2, start=(0, 1)))
    assert resumed == ranks[1][1:]


def test_a_batch_has_clips_of_one_group() -> None:
    groups = [(13, 2), (10, 4)]
    ranks = [list(TrainBatches(groups, rank, 2)) for rank in range(2)]
    assert len(ranks[0]) == len(TrainBatches(groups, 0, 2)) == 3 + 1
    for batches in zip(*ranks, strict=True):  # both processes have clips of the same group at each step
        kinds = {index >= 13 for batch in batches for _, index in batch}
        assert len(kinds) == 1 and {len(batch) for batch in batches} == {4 if kinds == {True} else 2}
    clips = [clip for batches in ranks for batch in batches for clip in batch]
    assert len(set(clips)) == len(clips) == 12 + 8
    orders = {
        tuple(batch[0][1] >= 13 for batch in TrainBatches([(20, 2), (20, 2)], epoch=lambda at=at: at))
        for at in range(5)
    }
    assert len(orders) == 5  # groups in another order in each epoch
    assert list(TrainBatches(groups, 1, 2, start=(0, 3))) == ranks[1][3:]


@pytest.mark.parametrize(("clips", "world"), [(7, 1), (7, 2), (7, 3), (2, 3)])
def test_evaluation_order_covers_each_clip_evenly(clips: int, world: int) -> None:
    orders = [evaluation_order(clips, rank, world) for rank in range(world)]
    assert len({len(order) for order in orders}) == 1
    assert {index for order in orders for index in order} == set(range(clips))
    assert sum(len(order) for order in orders) < clips + world
