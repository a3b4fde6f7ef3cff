"""Dataset readers, one file per dataset."""

from tavlo_pl.data.datasets.avatar import AVATAR
from tavlo_pl.data.datasets.avsbench import AVSBench
from tavlo_pl.data.datasets.concat import Concat
from tavlo_pl.data.datasets.flickr import FlickrSoundNet
from tavlo_pl.data.datasets.folder import VideoFolder
from tavlo_pl.data.datasets.is3 import IS3
from tavlo_pl.data.datasets.stills import Stills
from tavlo_pl.data.datasets.vggsound import VGGSound
from tavlo_pl.data.datasets.vggss import VGGSS

__all__ = ["AVATAR", "IS3", "VGGSS", "AVSBench", "Concat", "FlickrSoundNet", "Stills", "VGGSound", "VideoFolder"]
