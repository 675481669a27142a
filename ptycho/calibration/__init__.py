"""What a scan file may have wrong, found from the frames themselves.

Data flow: RawData -> [hypotheses -> trials on a part of the scan -> evidence] -> Calibration ->
RawData as it should have been.
A trial reconstructs a part of the scan without some of its frames and predicts those: a wrong
orientation, probe or position predicts them badly, however well it explains the others.
"""
