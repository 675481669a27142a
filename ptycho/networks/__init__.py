"""Networks that turn the frames of a group into object patches: one table, name -> class.

Data flow: batches -> [network] + physics -> trained model.
`ptycho.networks.network.Network` states what a network has to provide. Networks know no files,
losses or training. Importing the table does not import torch.
"""

from typing import TYPE_CHECKING

from ptycho.tables import Row, Table

if TYPE_CHECKING:
    from ptycho.networks.network import Network

NETWORKS: "Table[type[Network]]" = Table(
    "network",
    {
        "lifted": Row(
            "ptycho.networks.lifted:LiftedUNet",
            "updates the object in the sample plane, by physics and learned steps",
        ),
        "unet": Row(
            "ptycho.networks.classic:ClassicUNet",
            "maps the diffraction amplitudes to patches directly",
        ),
    },
)
"""Networks by name."""
