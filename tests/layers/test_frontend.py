import math

import pytest
import torch

from unspool.layers.frontend import FrameConv, LogMel, PatchConv, Running, Waves, disguised, hz, mel


def test_the_mel_scale_is_the_published_one():
    assert mel(1000) == pytest.approx(999.99, abs=0.01)  # 1000 Hz are 1000 mel (The HTK Book, equation 5.13)
    assert mel(0) == 0
    assert hz(mel(3210.0)) == pytest.approx(3210.0)


def test_log_mel_is_its_definition():
    torch.manual_seed(0)
    frames, values = LogMel(8000, 10), torch.randn(1, 1000) * 0.1
    found = frames(values)
    assert found.shape == (1, (1000 - 256) // 80 + 1, 10)
    edges = [hz(mel(4000) * i / 11) for i in range(12)]
    part = values[0, 80 * 3 : 80 * 3 + 256]
    window = [0.5 - 0.5 * math.cos(2 * math.pi * n / 256) for n in range(256)]
    for m in range(10):
        energy = 0.0
        for k in range(129):
            f = k * 8000 / 256
            weight = max(0.0, min((f - edges[m]) / (edges[m + 1] - edges[m]), (edges[m + 2] - f) / (edges[m + 2] - edges[m + 1])))
            if weight:
                angle = torch.arange(256) * (2 * math.pi * k / 256)
                windowed = part * torch.tensor(window)
                energy += weight * float((windowed * torch.cos(angle)).sum() ** 2 + (windowed * torch.sin(angle)).sum() ** 2)
        assert float(found[0, 3, m]) == pytest.approx(math.log(energy + 1e-6), abs=1e-3)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_learned_filters_have_the_frames_of_log_mel(rate):
    values = torch.randn(2, rate)
    assert Waves(rate)(values).shape == LogMel(rate)(values).shape
    frames = Waves(rate)
    frames(values).sum().backward()
    assert frames.weight.grad is not None


def test_a_tone_is_loudest_in_the_filter_of_its_frequency():
    frames = LogMel(16000, 40)
    values = torch.sin(2 * math.pi * 1000 * torch.arange(16000) / 16000)[None]
    middles = [hz(mel(8000) * (i + 1) / 41) for i in range(40)]
    assert abs(middles[int(frames(values)[0, 50].argmax())] - 1000) < 100


def test_normalised_frames_have_mean_0_and_deviation_1():
    layer = Running(5, causal=False)
    frames = torch.randn(4000, 5) * 3 + 7
    layer.learn(frames)
    y = layer(frames[None], torch.tensor([4000]))
    torch.testing.assert_close(y.mean((0, 1)), torch.zeros(5), atol=0.02, rtol=0)
    torch.testing.assert_close(y.std((0, 1)), torch.ones(5), atol=0.02, rtol=0)


def test_padding_changes_no_normalised_frame():
    for causal in (True, False):
        layer, x = Running(4, causal=causal), torch.randn(2, 30, 4) + 2
        both = layer(x, torch.tensor([30, 12]))
        torch.testing.assert_close(both[1, :12], layer(x[1:, :12], torch.tensor([12]))[0])
        assert (both[1, 12:] == 0).all()


def pieces(x, sizes):
    at = 0
    for size in sizes:
        yield x[:, at : at + size]
        at += size
    yield x[:, at:]


def test_a_stream_of_normalised_frames_equals_the_whole():
    layer, x = Running(4, causal=True), torch.randn(1, 50, 4) * 2 + 1
    layer.learn(torch.randn(100, 4))
    stream = layer.stream()
    found = torch.cat([stream.push(p) for p in pieces(x, [1, 0, 7, 20])], 1)
    torch.testing.assert_close(found, layer(x, torch.tensor([50])), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("before", "after"), [(2, 2), (0, 5), (3, 0)])
def test_a_stream_of_a_convolution_equals_the_whole(stride, before, after):
    layer, x = FrameConv(3, before=before, after=after, stride=stride), torch.randn(1, 41, 3)
    stream = layer.stream()
    found = torch.cat([*(stream.push(p) for p in pieces(x, [1, 1, 3, 10])), stream.finish()], 1)
    whole, lengths = layer(x, torch.tensor([41]))
    assert lengths.tolist() == [whole.shape[1]]
    torch.testing.assert_close(found, whole)


def test_a_stream_of_patches_equals_the_whole():
    layer, x = PatchConv(2, 4, reach=2, stride=2), torch.randn(1, 41, 2, 9)
    stream = layer.stream()
    found = torch.cat([*(stream.push(p) for p in pieces(x, [1, 1, 3, 10])), stream.finish()], 1)
    whole, _ = layer(x, torch.tensor([41]))
    assert whole.shape == (1, 21, 4, 4)
    torch.testing.assert_close(found, whole)


def test_patches_of_a_batch_equal_those_of_each():
    layer, x = PatchConv(1, 4, reach=1, stride=2), torch.randn(2, 20, 1, 8)
    torch.nn.init.constant_(layer.conv.bias, 1.0)  # so that nothing is 0 by itself
    x[1, 11:] = 0
    both, lengths = layer(x, torch.tensor([20, 11]))
    one, length = layer(x[1:, :11], torch.tensor([11]))
    assert lengths.tolist()[1:] == length.tolist() == [6]
    torch.testing.assert_close(both[1, :6], one[0])
    assert (both[1, 6:] == 0).all()


def test_disguises_change_frames_but_no_padding():
    x = torch.randn(3, 60, 40)
    lengths = torch.tensor([60, 40, 10])
    y = disguised(x, lengths)
    assert y.shape == x.shape
    assert not torch.allclose(y[0], x[0])
    assert (y[2, 10:] == 0).all()
    assert y.isfinite().all()
