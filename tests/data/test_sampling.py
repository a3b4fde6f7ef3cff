import pytest

from tavlo_pl.data.sampling import TrainSampler, evaluation_order


def test_the_order_is_another_in_each_epoch_and_for_each_seed() -> None:
    def order(epoch: int, seed: int = 0) -> list[tuple[int, int]]:
        return list(TrainSampler(10, 2, seed=seed, epoch=lambda: epoch))

    assert sorted(order(0)) == [(0, index) for index in range(10)]
    assert [index for _, index in order(0)] != [index for _, index in order(1)]
    assert order(1) == order(1) != order(1, seed=1)


def test_processes_share_an_epoch_without_overlap() -> None:
    ranks = [list(TrainSampler(11, 2, rank, 2)) for rank in range(2)]
    assert [len(rank) for rank in ranks] == [4, 4] == [len(TrainSampler(11, 2, rank, 2)) for rank in range(2)]
    assert len({*ranks[0], *ranks[1]}) == 8
    resumed = list(TrainSampler(11, 2, 1, 2, start=(0, 1)))
    assert resumed == ranks[1][2:]


@pytest.mark.parametrize(("clips", "world"), [(7, 1), (7, 2), (7, 3), (2, 3)])
def test_evaluation_order_covers_each_clip_evenly(clips: int, world: int) -> None:
    orders = [evaluation_order(clips, rank, world) for rank in range(world)]
    assert len({len(order) for order in orders}) == 1
    assert {index for order in orders for index in order} == set(range(clips))
    assert sum(len(order) for order in orders) < clips + world
