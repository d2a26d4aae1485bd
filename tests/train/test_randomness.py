import torch

from crcd.train.randomness import RandomStream

CPU = torch.device("cpu")


def draw(stream):
    with stream.active():
        return torch.rand(4)


def test_a_stream_goes_on_whatever_is_drawn_elsewhere():
    torch.manual_seed(3)
    expected = torch.rand(8)
    stream, other = RandomStream(3, CPU), RandomStream(4, CPU)
    first = draw(stream)
    draw(other)
    torch.rand(5)
    assert torch.equal(torch.cat([first, draw(stream)]), expected)


def test_the_global_state_is_left_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    draw(RandomStream(7, CPU))
    assert torch.equal(torch.rand(3), expected)


def test_position_is_stored():
    stream, other = RandomStream(3, CPU), RandomStream(9, CPU)
    draw(stream)
    other.load_state_dict(stream.state_dict())
    assert torch.equal(draw(stream), draw(other))
