"""Photon transport: photons of showers and muons in a scattering medium, and tables of the light they make."""
