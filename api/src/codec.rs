//! The codec of all methods: protobuf messages, each checked when it is decoded.

use prost::Message;
use prost::bytes::Buf;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::ProstCodec;

use crate::bounds::{self, Bounded};
use crate::elements;

/// Encodes messages of type `T`, and decodes and checks messages of type `U`.
#[derive(Debug, Clone)]
pub(crate) struct CheckedCodec<T, U>(ProstCodec<T, U>);

/// Decodes and checks messages.
#[derive(Debug, Clone)]
pub(crate) struct CheckedDecoder<D>(D);

impl<T, U> Default for CheckedCodec<T, U> {
    fn default() -> Self {
        Self(ProstCodec::default())
    }
}

impl<T, U> Codec for CheckedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Bounded + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = <ProstCodec<T, U> as Codec>::Encoder;
    type Decoder = CheckedDecoder<<ProstCodec<T, U> as Codec>::Decoder>;

    fn encoder(&mut self) -> Self::Encoder {
        self.0.encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        CheckedDecoder(self.0.decoder())
    }
}

impl<D> Decoder for CheckedDecoder<D>
where
    D: Decoder<Error = Status>,
    D::Item: Bounded,
{
    type Item = D::Item;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<D::Item>, Status> {
        if let Some(shape) = D::Item::shape() {
            // The bytes are those of one message, in one piece.
            elements::count(bytes.chunk(), shape, &mut { elements::MOST })
                .map_err(bounds::too_many_elements)?;
        }
        let message = self.0.decode(bytes)?;
        if let Some(message) = &message {
            message.check()?;
        }
        Ok(message)
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}
