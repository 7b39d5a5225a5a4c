"""Fingerprints of secrets."""

from failover_oneshot.accounts import fingerprints


def test_a_fingerprint_fits_only_its_secret_and_does_not_reveal_it() -> None:
    mark = fingerprints.made("fake-secret")
    assert fingerprints.fits(mark, "fake-secret")
    assert fingerprints.fits(mark, b"fake-secret")
    assert not fingerprints.fits(mark, "fake-secret2")
    assert not fingerprints.fits("", "fake-secret")
    assert "secret" not in mark
    assert fingerprints.made("fake-secret").partition(":")[2] != mark.partition(":")[2]
