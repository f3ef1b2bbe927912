# Copyright 2026 The sam3d_ros Authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""The body model's decoders: the transformer alone, then with its tokens, heads and refinement."""

import pytest
import torch
from body_parts import recorded_decoder, recorded_rig
from fixtures import Golden, Tolerance, load_golden

from sam3d_ros.body.architecture import BodyDecoderConfig
from sam3d_ros.body.decoder import ImageContext, TokenDecoder, TokenStream
from sam3d_ros.body.head_rig import HeadRig
from sam3d_ros.body.model import BodyModel, Crops, Part, Told
from sam3d_ros.body.rays import cliff_condition
from sam3d_ros.body.views import CropViews

PARTS = {"body/decoder_body": Part.BODY, "body/decoder_hand": Part.HAND}
CASES = ("dummy", "prompted")
# The fixtures' own would pass a decoder whose tokens do not follow its predictions.
CLOSE, CLOSE_PX = Tolerance(atol=1e-4), Tolerance(atol=0.02)


@pytest.fixture(scope="module", params=PARTS)
def golden(request: pytest.FixtureRequest) -> Golden:
    return load_golden(request.param)


@pytest.fixture(scope="module")
def part(golden: Golden) -> Part:
    return PARTS[golden.name]


@pytest.fixture(scope="module")
def model(golden: Golden, part: Part) -> BodyModel:
    return recorded_decoder(golden, part)


@pytest.fixture(scope="module")
def rig(golden: Golden, part: Part, model: BodyModel) -> HeadRig:
    return model.layers(part).head_pose.prepared(recorded_rig(golden))


def recorded_crops(golden: Golden) -> Crops:
    inputs = golden.inputs
    views = CropViews(
        crop_from_image=inputs["batch.affine_trans"][0],
        centers_px=inputs["batch.bbox_center"][0],
        sides_px=inputs["batch.bbox_scale"][0, :, 0],
        matrix_px=inputs["batch.cam_int"][0],
        size=int(inputs["batch.img_size"][0, 0, 0]),
    )
    return Crops(features=inputs["image_embeddings"], views=views)


def recorded_knowledge(golden: Golden, case: str) -> Told:
    keypoints = golden.inputs[f"{case}.keypoints"]
    previous = golden.inputs.get(f"{case}.prev_estimate")
    return Told(keypoints=keypoints, previous=None if previous is None else previous[:, 0])


def test_tokens_read_from_each_other_and_from_the_image_as_recorded() -> None:
    golden = load_golden("body/decoder_plain")
    inputs, sizes = golden.inputs, golden.config
    decoder = TokenDecoder(
        BodyDecoderConfig(
            dim=sizes["dims"],
            depth=sizes["depth"],
            num_heads=sizes["num_heads"],
            head_dim=sizes["head_dims"],
            mlp_dim=sizes["mlp_dims"],
        ),
        context_dim=sizes["context_dims"],
    )
    decoder.load_state_dict(
        {name.removeprefix("decoder."): tensor for name, tensor in golden.weights.items()}
    )
    patches = inputs["image_embedding"].flatten(2).mT
    placed = ImageContext(patches=patches, places=inputs["image_augment"].flatten(2).mT)
    tokens = TokenStream(values=inputs["token_embedding"], places=inputs["token_augment"])

    with torch.inference_mode():
        golden.close(decoder(tokens, placed), "tokens")
        for layer in decoder.layers:  # places that say nothing
            for norm in (layer.ln_pe_1, layer.ln_pe_2):
                norm.weight.zero_()
                norm.bias.zero_()
        golden.close(decoder(tokens, placed), "tokens_without_augment")


@pytest.mark.parametrize("case", CASES)
def test_every_layer_says_what_is_recorded(
    golden: Golden, part: Part, model: BodyModel, rig: HeadRig, case: str
) -> None:
    answer = model(part, recorded_crops(golden), recorded_knowledge(golden, case), rig)

    layers = (*answer.earlier, answer)
    assert len(layers) == model.architecture.decoder.depth
    for number, layer in enumerate(layers):
        prefix, placement = f"{case}.layer{number}.", layer.placement
        golden.close(placement.keypoints_px, f"{prefix}pred_keypoints_2d", CLOSE_PX)
        for output, actual in {
            "pred_pose_raw": layer.raw[:, :266],
            "pred_cam": placement.camera,
            "pred_cam_t": placement.translation_m,
            "pred_keypoints_2d_cropped": placement.keypoints_crop,
            "pred_keypoints_2d_depth": placement.keypoints_depth_m,
            "global_rot": layer.values.global_rot,
            "body_pose": layer.values.body_pose,
            "hand": layer.values.hand,
            "scale": layer.values.scale,
            "shape": layer.values.shape,
        }.items():
            golden.close(actual, prefix + output, CLOSE)
    for number, layer in enumerate(answer.earlier):
        golden.close(layer.keypoints_m, f"{case}.layer{number}.pred_keypoints_3d", CLOSE)


@pytest.mark.parametrize("case", CASES)
def test_the_last_answer_is_the_recorded_one(
    golden: Golden, part: Part, model: BodyModel, rig: HeadRig, case: str
) -> None:
    answer = model(part, recorded_crops(golden), recorded_knowledge(golden, case), rig)

    last = f"{case}.layer{model.architecture.decoder.depth - 1}."
    golden.close(answer.hand_boxes, f"{case}.hand_box", CLOSE)
    golden.close(answer.hand_logits, f"{case}.hand_logits", CLOSE)
    golden.close(answer.posed.keypoints_m, f"{last}pred_keypoints_3d", CLOSE)
    golden.close(answer.posed.joint_rotations, f"{last}joint_global_rots", CLOSE)
    golden.close(answer.posed.rig_parameters, f"{last}mhr_model_params", CLOSE)
    whole = model.layers(part).head_pose.posed(answer.values, rig)
    golden.close(whole.vertices_m, f"{last}pred_vertices", CLOSE)


def test_nothing_known_is_a_prompt_that_says_nothing(
    golden: Golden, part: Part, model: BodyModel, rig: HeadRig
) -> None:
    crops = recorded_crops(golden)

    told = model(part, crops, recorded_knowledge(golden, "dummy"), rig)

    assert torch.equal(model(part, crops, Told(), rig).raw, told.raw)


def test_where_crops_lie_is_told_as_recorded(golden: Golden) -> None:
    views = recorded_crops(golden).views

    condition = cliff_condition(views.centers_px, views.sides_px, views.matrix_px)

    torch.testing.assert_close(condition, golden.inputs["condition_info"])
